"""Runs MiniLM's forward pass in Python MLX with the operations of examples/src/minilm.rs, for minilm_mlx.rs.

    minilm.py MODEL_DIR < REQUESTS > REPLIES

Requests are lines of JSON. `{"device": "cpu"}` or "gpu" chooses the device and comes first; `{"tokens": [[…], …]}` sets the
batch. `{"runs": 5}` returns the milliseconds of each of 5 forward passes, `{"embeddings": true}` the embeddings of the batch,
`{"peaks": true}` the peak memory of MLX's arrays and of the process. Any other request returns the versions of Python and MLX.
"""

import array
import ctypes
import json
import math
import os
import platform
import resource
import sys
import time


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


load_blas()
import mlx.core as mx

HIDDEN, HEADS, LAYERS = 384, 12, 6
HEAD = HIDDEN // HEADS


def load(folder):
    """Returns the parameters, with the weights prepared as in minilm.rs."""
    weights = mx.load(f"{folder}/model.safetensors")
    model = {"words": weights["embeddings.word_embeddings.weight"]}
    model["positions"] = (
        weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][:1]
    )
    model["norm"] = [weights[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")]
    model["layers"] = []
    scale = 1 / math.sqrt(HEAD)
    for at in range(LAYERS):
        part = lambda name: [weights[f"encoder.layer.{at}.{name}.{kind}"] for kind in ("weight", "bias")]
        (query, query_bias), (key, key_bias), (value, value_bias) = (
            part(f"attention.self.{name}") for name in ("query", "key", "value")
        )
        dense = lambda weight, bias: (weight.T, bias)
        model["layers"].append(
            {
                "query_key_value": dense(
                    mx.concatenate([query * scale, key, value]),
                    mx.concatenate([query_bias * scale, key_bias, value_bias]),
                ),
                "attention_output": dense(*part("attention.output.dense")),
                "attention_norm": part("attention.output.LayerNorm"),
                "intermediate": dense(*part("intermediate.dense")),
                "output": dense(*part("output.dense")),
                "output_norm": part("output.LayerNorm"),
            }
        )
    mx.eval(model)
    return model


def linear(x, parameters):
    weight, bias = parameters
    return x @ weight + bias


def layer_norm(x, parameters):
    return mx.fast.layer_norm(x, *parameters, 1e-12)


def gelu(x):
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


class Batch:
    """Texts padded to the longest, in host memory."""

    def __init__(self, texts):
        self.size, self.longest = len(texts), max(map(len, texts))
        padded = lambda row, real, padding: [real] * row + [padding] * (self.longest - row)
        self.tokens = array.array("I", [token for text in texts for token in text + [0] * (self.longest - len(text))])
        lengths = [len(text) for text in texts]
        self.bias = None
        if min(lengths) < self.longest:
            self.bias = array.array("f", [x for length in lengths for x in padded(length, 0.0, -1e9)])
        self.pooling = array.array("f", [x for length in lengths for x in padded(length, 1 / length, 0.0)])


def forward(model, batch):
    size, longest = batch.size, batch.longest
    bias = None if batch.bias is None else mx.array(batch.bias).reshape(size, 1, 1, longest)
    tokens = mx.array(batch.tokens).reshape(size, longest)
    hidden = model["words"][tokens] + model["positions"][:longest]
    hidden = layer_norm(hidden.reshape(size * longest, HIDDEN), model["norm"])
    for layer in model["layers"]:
        heads = linear(hidden, layer["query_key_value"]).reshape(size, longest, 3, HEADS, HEAD)
        query, key, value = heads.transpose(2, 0, 3, 1, 4)
        scores = query @ key.transpose(0, 1, 3, 2)
        if bias is not None:
            scores = scores + bias
        attended = (mx.softmax(scores, axis=-1) @ value).transpose(0, 2, 1, 3).reshape(size * longest, HIDDEN)
        hidden = layer_norm(linear(attended, layer["attention_output"]) + hidden, layer["attention_norm"])
        output = linear(gelu(linear(hidden, layer["intermediate"])), layer["output"])
        hidden = layer_norm(output + hidden, layer["output_norm"])
    hidden = hidden.reshape(size, longest, HIDDEN)
    mean = (mx.array(batch.pooling).reshape(size, 1, longest) @ hidden).squeeze(1)
    return mean / mx.maximum(mx.sqrt(mx.square(mean).sum(axis=1, keepdims=True)), 1e-12)


def milliseconds(model, batch, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        mx.eval(forward(model, batch))
        times.append((time.perf_counter() - start) * 1e3)
    return times


def main():
    model = batch = None
    for line in sys.stdin:
        request = json.loads(line)
        if "device" in request:
            mx.set_default_device({"cpu": mx.cpu, "gpu": mx.gpu}[request["device"]])
            reply = True
        elif "tokens" in request:
            model = model or load(sys.argv[1])
            batch = Batch(request["tokens"])
            reply = True
        elif "runs" in request:
            reply = milliseconds(model, batch, request["runs"])
        elif "embeddings" in request:
            reply = forward(model, batch).tolist()
        elif "peaks" in request:
            process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            reply = [mx.get_peak_memory(), process]
        else:
            reply = f"Python {platform.python_version()}, mlx {mx.__version__}"
        print(json.dumps(reply), flush=True)


main()
