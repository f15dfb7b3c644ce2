"""Trains the encoder of step.rs in Python MLX or torch, for step.rs.

    step.py mlx|torch < REQUESTS > REPLIES

Requests are lines of JSON. `{"parameters": FILE, "device": "cpu", "compile": false, "heads": 12, "tokens": [[…], …], "labels": […]}`
comes first: it reads the parameters from a safetensors file, sets the batch, and returns the version. `{"steps": 5}` returns
`[milliseconds, loss]` of each of 5 steps, `{"peaks": true}` the peak memory of the device's arrays, or null, and of the process.
"""

import array
import ctypes
import json
import os
import resource
import sys
import time

LR, WEIGHT_DECAY, EPS = 1e-4, 0.01, 1e-12


def load_blas():
    """Loads the same BLAS before MLX's own as grad-runtime does."""
    named = os.environ.get("GRAD_MLX_BLAS")
    if named == "off" or sys.platform != "linux":
        return
    for name in [named] if named else ["libopenblas.so.0", "libopenblas.so"]:
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
            return
        except OSError:
            if named:
                raise


def read_safetensors(path):
    """Returns name, shape and float32 elements of each tensor."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, end = tensor["data_offsets"]
            yield name.removeprefix("encoder."), tensor["shape"], array.array("f", data[begin:end])


def shapes(parameters):
    """Returns the sizes of the model: vocabulary, positions, hidden, intermediate, classes, layers."""
    shape = {name: shape for name, shape, _ in parameters}
    layers = 1 + max(int(name.split(".")[1]) for name in shape if name.startswith("layers."))
    intermediate = shape["layers.0.intermediate.weight"][0]
    return *shape["words.weight"], shape["positions.weight"][0], intermediate, shape["head.weight"][0], layers


class Mlx:
    def __init__(self, request):
        load_blas()
        global mx
        import mlx.core as mx
        import mlx.nn as nn
        import mlx.optimizers as optim

        mx.set_default_device({"cpu": mx.cpu, "gpu": mx.gpu}[request["device"]])
        heads = request["heads"]
        parameters = list(read_safetensors(request["parameters"]))
        vocabulary, hidden, positions, intermediate, classes, layers = shapes(parameters)

        class Layer(nn.Module):
            def __init__(self):
                super().__init__()
                self.query_key_value = nn.Linear(hidden, 3 * hidden)
                self.attention_output = nn.Linear(hidden, hidden)
                self.attention_norm = nn.LayerNorm(hidden, eps=EPS)
                self.intermediate = nn.Linear(hidden, intermediate)
                self.output = nn.Linear(intermediate, hidden)
                self.output_norm = nn.LayerNorm(hidden, eps=EPS)

            def __call__(self, x):
                size, length, _ = x.shape
                split = self.query_key_value(x).reshape(size, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
                attended = mx.fast.scaled_dot_product_attention(*split, scale=(hidden // heads) ** -0.5)
                attended = attended.transpose(0, 2, 1, 3).reshape(size, length, hidden)
                x = self.attention_norm(self.attention_output(attended) + x)
                return self.output_norm(self.output(nn.gelu(self.intermediate(x))) + x)

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.words = nn.Embedding(vocabulary, hidden)
                self.positions = nn.Embedding(positions, hidden)
                self.norm = nn.LayerNorm(hidden, eps=EPS)
                self.layers = [Layer() for _ in range(layers)]
                self.head = nn.Linear(hidden, classes)

            def __call__(self, tokens):
                x = self.norm(self.words(tokens) + self.positions.weight[: tokens.shape[1]])
                for layer in self.layers:
                    x = layer(x)
                return self.head(x.mean(axis=1))

        model = Model()
        model.load_weights([(name, mx.array(data).reshape(shape)) for name, shape, data in parameters])
        del parameters
        # As in torch; MLX's default is no bias correction.
        optimizer = optim.AdamW(LR, eps=1e-8, weight_decay=WEIGHT_DECAY, bias_correction=True)
        optimizer.init(model.trainable_parameters())
        state = [model.state, optimizer.state]
        loss_and_grad = nn.value_and_grad(
            model, lambda tokens, labels: nn.losses.cross_entropy(model(tokens), labels, reduction="mean")
        )

        def step(tokens, labels):
            loss, gradients = loss_and_grad(tokens, labels)
            optimizer.update(model, gradients)
            return loss

        self.update = mx.compile(step, inputs=state, outputs=state) if request["compile"] else step
        self.state = state
        self.batch = mx.array(request["tokens"], dtype=mx.uint32), mx.array(request["labels"])
        mx.eval(state, self.batch)
        self.version = f"mlx {mx.__version__}"

    def step(self):
        loss = self.update(*self.batch)
        mx.eval(loss, self.state)
        return loss.item()

    def peak(self):
        return mx.get_peak_memory()


class Torch:
    def __init__(self, request):
        global torch
        import torch
        from torch import nn
        from torch.nn import functional as F

        device = {"cpu": "cpu", "gpu": "cuda"}[request["device"]]
        # TF32, which is MLX's default.
        torch.set_float32_matmul_precision("high")
        heads = request["heads"]
        parameters = list(read_safetensors(request["parameters"]))
        vocabulary, hidden, positions, intermediate, classes, layers = shapes(parameters)

        class Layer(nn.Module):
            def __init__(self):
                super().__init__()
                self.query_key_value = nn.Linear(hidden, 3 * hidden)
                self.attention_output = nn.Linear(hidden, hidden)
                self.attention_norm = nn.LayerNorm(hidden, eps=EPS)
                self.intermediate = nn.Linear(hidden, intermediate)
                self.output = nn.Linear(intermediate, hidden)
                self.output_norm = nn.LayerNorm(hidden, eps=EPS)

            def forward(self, x):
                size, length, _ = x.shape
                split = self.query_key_value(x).view(size, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
                attended = F.scaled_dot_product_attention(*split).transpose(1, 2).reshape(size, length, hidden)
                x = self.attention_norm(self.attention_output(attended) + x)
                return self.output_norm(self.output(F.gelu(self.intermediate(x))) + x)

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.words = nn.Embedding(vocabulary, hidden)
                self.positions = nn.Embedding(positions, hidden)
                self.norm = nn.LayerNorm(hidden, eps=EPS)
                self.layers = nn.ModuleList(Layer() for _ in range(layers))
                self.head = nn.Linear(hidden, classes)

            def forward(self, tokens):
                x = self.norm(self.words(tokens) + self.positions.weight[: tokens.shape[1]])
                for layer in self.layers:
                    x = layer(x)
                return self.head(x.mean(dim=1))

        model = Model()
        model.load_state_dict(
            {name: torch.frombuffer(data, dtype=torch.float32).reshape(shape) for name, shape, data in parameters}
        )
        del parameters
        model.to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR, eps=1e-8, weight_decay=WEIGHT_DECAY)
        self.tokens = torch.tensor(request["tokens"], device=device)
        self.labels = torch.tensor(request["labels"], device=device)
        loss_of = lambda tokens, labels: F.cross_entropy(model(tokens), labels)
        self.loss_of = torch.compile(loss_of) if request["compile"] else loss_of
        self.optimizer = optimizer
        self.on_gpu = device == "cuda"
        self.version = f"torch {torch.__version__}"

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(self.tokens, self.labels)
        loss.backward()
        self.optimizer.step()
        # It waits for the device.
        value = loss.item()
        if self.on_gpu:
            torch.cuda.synchronize()
        return value

    def peak(self):
        return torch.cuda.max_memory_allocated() if self.on_gpu else None


def main():
    training = None
    for line in sys.stdin:
        request = json.loads(line)
        if "parameters" in request:
            training = {"mlx": Mlx, "torch": Torch}[sys.argv[1]](request)
            reply = training.version
        elif "steps" in request:
            reply = []
            for _ in range(request["steps"]):
                start = time.perf_counter()
                loss = training.step()
                reply.append([(time.perf_counter() - start) * 1e3, loss])
        else:
            process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            reply = [training.peak(), process]
        print(json.dumps(reply), flush=True)


main()
