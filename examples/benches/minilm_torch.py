"""Runs MiniLM's forward pass in PyTorch on a GPU, for minilm_mlx.rs: transformers' `BertModel` with sdpa attention.

    minilm_torch.py MODEL_DIR < REQUESTS > REPLIES

Requests are those of minilm.py. The variant "products alone" computes the matrix products of a forward pass in float16 and nothing
else: what the card's limit leaves to any engine.
"""

import json
import platform
import sys
import time

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file

VARIANTS = {
    "TF32": (torch.float32, None),
    "TF32, compiled": (torch.float32, "reduce-overhead"),
    "float16": (torch.float16, None),
    "float16, compiled": (torch.float16, "reduce-overhead"),
}
HIDDEN, LAYERS, HEADS = 384, 6, 12


def load(folder, dtype):
    config = transformers.BertConfig.from_json_file(f"{folder}/config.json")
    config._attn_implementation = "sdpa"
    model = transformers.BertModel(config, add_pooling_layer=False)
    found = model.load_state_dict(load_file(f"{folder}/model.safetensors"), strict=False)
    assert not found.missing_keys, found
    return model.to(dtype).cuda().eval()


def forward(model):
    def run(ids, mask):
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return F.normalize(mean, dim=1)

    return run


class Products:
    """The operands of the matrix products of a batch."""

    def __init__(self, size, longest):
        rows = lambda *shape: torch.randn(*shape, device="cuda", dtype=torch.float16)
        tokens = size * longest
        dense = [(HIDDEN, 3 * HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 4 * HIDDEN), (4 * HIDDEN, HIDDEN)]
        self.dense = [(rows(tokens, inputs), rows(inputs, outputs)) for inputs, outputs in dense]
        heads = size * HEADS
        query, scores = rows(heads, longest, HIDDEN // HEADS), rows(heads, longest, longest)
        self.attention = [(query, query.transpose(1, 2)), (scores, query)]

    def run(self):
        for _ in range(LAYERS):
            for a, b in self.dense + self.attention:
                a @ b


class Models:
    def __init__(self, folder):
        self.folder, self.loaded, self.products = folder, {}, None

    def set_batch(self, texts):
        longest = max(map(len, texts))
        padded = lambda values, padding: values + [padding] * (longest - len(values))
        self.ids = torch.tensor([padded(text, 0) for text in texts])
        self.mask = torch.tensor([padded([1] * len(text), 0) for text in texts])
        # The graph reads the operands, which must live as long.
        self.operands = products = Products(len(texts), longest)
        products.run()
        # As a graph, so that starting the kernels costs nothing.
        torch.cuda.synchronize()
        self.products = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.products):
            products.run()

    def run(self, variant):
        if variant == "products alone":
            self.products.replay()
            torch.cuda.synchronize()
            return None
        if variant not in self.loaded:
            dtype, mode = VARIANTS[variant]
            run = forward(load(self.folder, dtype))
            self.loaded[variant] = torch.compile(run, mode=mode, dynamic=False) if mode else run
        embeddings = self.loaded[variant](self.ids.cuda(), self.mask.cuda())
        torch.cuda.synchronize()
        return embeddings


def milliseconds(run, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


@torch.inference_mode()
def main():
    torch.backends.cuda.matmul.allow_tf32 = True
    models = Models(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        if "tokens" in request:
            models.set_batch(request["tokens"])
            reply = True
        elif "variants" in request:
            reply = [list(VARIANTS), ["products alone"]]
        elif "runs" in request:
            reply = milliseconds(lambda: models.run(request["variant"]), request["runs"])
        elif "embeddings" in request:
            reply = models.run(request["embeddings"]).tolist()
        else:
            reply = f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
        print(json.dumps(reply), flush=True)


main()
