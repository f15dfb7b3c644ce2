"""Runs MiniLM's forward pass in torch and onnxruntime, for minilm_peers.rs.

    minilm_peers.py install FOLDER
    minilm_peers.py serve MODEL_DIR < REQUESTS > REPLIES

`install` fetches the packages into FOLDER with pip. The wheel of torch is built for CUDA, whose libraries take gigabytes. Only
two small ones are fetched; in place of the others stand libraries of the same functions, which are never called without a GPU.

Requests are lines of JSON. `{"texts": [[…], …], "batch": 32}` sets the tokens of the texts and prepares their batches, and each
text by itself. `{"engine": "torch", "run": "batches"}` embeds all batches and returns the seconds, of the clock and of the
processor; `{"engine": …, "run": "texts", "of": [0, 7]}` embeds each of these texts by itself and returns its milliseconds;
`{"engine": …, "run": "embeddings"}` returns the embeddings of all texts. Any other request returns the versions.
"""

import collections
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

THREADS = 2
TORCH = "torch==2.15.0"
CUDA = ["nvidia-cuda-runtime==13.*", "nvidia-cuda-cupti==13.*"]
OTHERS = ["transformers==5.24.0", "onnxruntime==1.32.0", "onnx==1.23.2", "sympy", "networkx", "jinja2", "setuptools"]
HIDDEN, HEADS, LAYERS = 384, 12, 6


def install(folder):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    subprocess.run([*pip, "--target", folder, *OTHERS], check=True)
    subprocess.run([*pip, "--target", folder, "--no-deps", TORCH, *CUDA], check=True)
    stand_in(pathlib.Path(folder))


def stand_in(folder):
    """Makes the CUDA libraries that torch's need and that are not there."""
    missing = re.compile(r"lib(cublas|cublasLt|cudnn|cufft|cufile|cusparse|cusparseLt|nccl|nvrtc|nvshmem_host)\.so\.\d+")
    function = re.compile(r"(cublas|cudnn|cufft|cusparse|nccl|nvrtc|nvshmem|cuFile)")
    read = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True).stdout
    needed, functions = set(), collections.defaultdict(set)
    for library in (folder / "torch/lib").glob("*.so"):
        needed.update(filter(missing.fullmatch, re.findall(r"NEEDED.*\[(.*)\]", read("readelf", "-d", library))))
        for line in read("nm", "-D", "--undefined-only", library).splitlines():
            name, _, version = line.split()[-1].partition("@")
            if function.match(name):
                functions[version].add(name)
    (folder / "stand-ins").mkdir()
    versions = folder / "stand-ins/versions"
    versions.write_text(
        "".join(f"{version} {{ {'; '.join(sorted(names))}; }};\n" for version, names in functions.items() if version)
    )
    text = "".join(f"void {name}(void) {{}}\n" for name in sorted(set().union(*functions.values())))
    for name in needed:
        flags = ["-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", f"-Wl,--version-script={versions}"]
        subprocess.run(["cc", *flags, "-x", "c", "-", "-o", folder / "stand-ins" / name], input=text, text=True, check=True)


class Texts:
    """Texts that are embedded together, padded to the longest."""

    def __init__(self, texts):
        import numpy as np

        longest = max(map(len, texts))
        self.tokens = np.zeros((len(texts), longest), dtype=np.int64)
        self.mask = np.zeros((len(texts), longest), dtype=np.int64)
        for row, text in enumerate(texts):
            self.tokens[row, : len(text)] = text
            self.mask[row, : len(text)] = 1
        self.pooling = (self.mask / self.mask.sum(axis=1, keepdims=True)).astype(np.float32)[:, None, :]


class Torch:
    def __init__(self, folder):
        import torch
        import transformers

        torch.set_num_threads(THREADS)
        transformers.logging.set_verbosity_error()
        config = transformers.BertConfig.from_pretrained(folder)
        config._attn_implementation = "sdpa"
        self.torch = torch
        self.model = transformers.BertModel.from_pretrained(folder, config=config, add_pooling_layer=False, dtype=torch.float32)
        self.model.eval()

    def prepare(self, texts):
        as_tensor = self.torch.from_numpy
        # As the tokenizer's user would: no mask where nothing is padded.
        mask = None if texts.mask.all() else as_tensor(texts.mask)
        return as_tensor(texts.tokens), mask, as_tensor(texts.pooling)

    def embed(self, prepared):
        tokens, mask, pooling = prepared
        with self.torch.inference_mode():
            hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
            mean = (pooling @ hidden).squeeze(1)
            return self.torch.nn.functional.normalize(mean, dim=1)


class Onnxruntime:
    """The graph that onnxruntime's transformer optimizer makes of BERT: its fused operations, and all its optimizations."""

    def __init__(self, folder):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            bert_in_onnx(folder).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def prepare(self, texts):
        return {
            "tokens": texts.tokens.astype("int32"),
            "mask": texts.mask.astype("int32"),
            "pooling": texts.pooling,
        }

    def embed(self, prepared):
        return self.session.run(None, prepared)[0]


def bert_in_onnx(folder):
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import load_file

    weights = load_file(f"{folder}/model.safetensors")
    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(operation, inputs, output, domain="com.microsoft", outputs=(), **attributes):
        nodes.append(helper.make_node(operation, inputs, [output, *outputs], domain=domain, **attributes))
        return output

    embedding = lambda name: constant(name, weights[f"embeddings.{name}"])
    norm = lambda prefix: [constant(f"{prefix}.{part}", weights[f"{prefix}.{part}"]) for part in ("weight", "bias")]
    # Token type 0 throughout.
    node("EmbedLayerNormalization", [
        "tokens", node("Sub", ["tokens", "tokens"], "types", domain=""),
        embedding("word_embeddings.weight"), embedding("position_embeddings.weight"),
        embedding("token_type_embeddings.weight"), *norm("embeddings.LayerNorm"),
    ], "hidden", outputs=["no_mask"], epsilon=1e-12)
    hidden = "hidden"
    for at in range(LAYERS):
        prefix = f"encoder.layer.{at}"
        part = lambda name, kind: weights[f"{prefix}.{name}.{kind}"]
        self_parts = [f"attention.self.{name}" for name in ("query", "key", "value")]
        attended = node("Attention", [
            hidden,
            constant(f"{prefix}.qkv.weight", np.concatenate([part(name, "weight").T for name in self_parts], axis=1)),
            constant(f"{prefix}.qkv.bias", np.concatenate([part(name, "bias") for name in self_parts])),
            "mask",
        ], f"{prefix}.attended", num_heads=HEADS)

        def dense(inputs, name):
            weight = constant(f"{prefix}.{name}.weight", part(name, "weight").T)
            product = node("MatMul", [inputs, weight], f"{prefix}.{name}.product", domain="")
            return product, constant(f"{prefix}.{name}.bias", part(name, "bias"))

        def add_and_normalize(product, bias, skip, name):
            return node(
                "SkipLayerNormalization", [product, skip, *norm(f"{prefix}.{name}"), bias], f"{prefix}.{name}", epsilon=1e-12
            )

        hidden = add_and_normalize(*dense(attended, "attention.output.dense"), hidden, "attention.output.LayerNorm")
        inner = node("BiasGelu", dense(hidden, "intermediate.dense"), f"{prefix}.gelu")
        hidden = add_and_normalize(*dense(inner, "output.dense"), hidden, "output.LayerNorm")
    pooled = node("MatMul", ["pooling", hidden], "pooled", domain="")
    mean = node("Squeeze", [pooled, constant("axis", np.array([1]))], "mean", domain="")
    node("LpNormalization", [mean], "embeddings", domain="", axis=1, p=2)
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT32, ["texts", "longest"]),
        helper.make_tensor_value_info("mask", TensorProto.INT32, ["texts", "longest"]),
        helper.make_tensor_value_info("pooling", TensorProto.FLOAT, ["texts", 1, "longest"]),
    ]
    output = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["texts", HIDDEN])
    graph = helper.make_graph(nodes, "minilm", inputs, [output], constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


class Server:
    def __init__(self, folder):
        self.engines = {"torch": Torch(folder), "onnxruntime": Onnxruntime(folder)}

    def set_texts(self, texts, size):
        batches = [Texts(texts[start : start + size]) for start in range(0, len(texts), size)]
        single = [Texts([text]) for text in texts]
        prepared = lambda engine, all: list(map(engine.prepare, all))
        self.batches = {name: prepared(engine, batches) for name, engine in self.engines.items()}
        self.single = {name: prepared(engine, single) for name, engine in self.engines.items()}

    def run(self, name, what, of=()):
        engine = self.engines[name]
        if what == "embeddings":
            return [row.tolist() for batch in self.batches[name] for row in engine.embed(batch)]
        if what == "batches":
            clock, processor = time.perf_counter(), time.process_time()
            for batch in self.batches[name]:
                engine.embed(batch)
            return [time.perf_counter() - clock, time.process_time() - processor]
        times = []
        for at in of:
            start = time.perf_counter()
            engine.embed(self.single[name][at])
            times.append((time.perf_counter() - start) * 1e3)
        return times

    def versions(self):
        import onnxruntime
        import torch
        import transformers

        return [
            f"torch {torch.__version__} with transformers {transformers.__version__}",
            f"onnxruntime {onnxruntime.__version__}",
            f"Python {platform.python_version()}",
        ]


def main():
    if sys.argv[1] == "install":
        return install(sys.argv[2])
    # Nothing but replies on the standard output.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server(sys.argv[2])
    for line in sys.stdin:
        request = json.loads(line)
        if "texts" in request:
            reply = server.set_texts(request["texts"], request["batch"])
        elif "engine" in request:
            reply = server.run(request["engine"], request["run"], request.get("of", ()))
        else:
            reply = server.versions()
        print(json.dumps(reply), file=replies, flush=True)


main()
