"""Runs MiniLM's forward pass in Python MLX with the operations of examples/src/minilm.rs, for minilm_mlx.rs.

    minilm.py MODEL_DIR < REQUESTS > REPLIES

Requests are lines of JSON. `{"device": "cpu"}` or "gpu" chooses the device and comes first; `{"tokens": [[…], …]}` sets the
batch. `{"variants": true}` returns the names of the ways to compute; with one of them, `{"runs": 5, "variant": …}` returns the
milliseconds of each of 5 forward passes and `{"embeddings": …}` the embeddings of the batch. `{"peaks": true}` returns the peak
memory of MLX's arrays and of the process. Any other request returns the versions of Python and MLX.
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


# The ways to compute: dtype, fused attention and dense layers, a kernel for residual and layer norm, and compiled.
VARIANTS = {
    "float32": (mx.float32, False, False, False),
    "float32, fused, compiled": (mx.float32, True, False, True),
    "float16, fused": (mx.float16, True, False, False),
    "float16, fused, compiled": (mx.float16, True, False, True),
}
# What could be gained: a kernel of our own that adds bias and residual and normalizes, which needs CUDA; and rows without padding,
# except in the attention.
ANALYSIS = {
    "float16, fused, own norm kernel, compiled": (mx.float16, True, True, True),
    "float16, fused, packed, compiled": (mx.float16, True, False, True),
    "float16, fused, own norm kernel, packed, compiled": (mx.float16, True, True, True),
}


def load(folder, dtype):
    """Returns the parameters, with the weights prepared as in minilm.rs."""
    weights = {name: value.astype(dtype) for name, value in mx.load(f"{folder}/model.safetensors").items()}
    model = {"words": weights["embeddings.word_embeddings.weight"]}
    model["positions"] = (
        weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][:1]
    )
    model["norm"] = [weights[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")]
    model["layers"] = []
    for at in range(LAYERS):
        part = lambda name: [weights[f"encoder.layer.{at}.{name}.{kind}"] for kind in ("weight", "bias")]
        (query, query_bias), (key, key_bias), (value, value_bias) = (
            part(f"attention.self.{name}") for name in ("query", "key", "value")
        )
        dense = lambda weight, bias: (weight.T, bias)
        model["layers"].append(
            {
                "query_key_value": dense(mx.concatenate([query, key, value]), mx.concatenate([query_bias, key_bias, value_bias])),
                "attention_output": dense(*part("attention.output.dense")),
                "attention_norm": part("attention.output.LayerNorm"),
                "intermediate": dense(*part("intermediate.dense")),
                "output": dense(*part("output.dense")),
                "output_norm": part("output.LayerNorm"),
            }
        )
    mx.eval(model)
    return model


def linear(x, parameters, fused):
    weight, bias = parameters
    return mx.addmm(bias, x, weight) if fused else x @ weight + bias


def layer_norm(x, parameters):
    return mx.fast.layer_norm(x, *parameters, 1e-12)


def gelu(x):
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


NORM_KERNEL = """
  // A warp for each row of 384, of which a thread has three times four neighbors.
  const int lane = threadIdx.x % 32;
  const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= x_shape[0]) return;
  const auto four = [](const T* from) { return *reinterpret_cast<const uint2*>(from); };
  float values[12];
  float sum = 0;
  #pragma unroll
  for (int j = 0; j < 3; ++j) {
    const int at = j * 128 + lane * 4;
    const uint2 xs = four(x + row * 384L + at), rs = four(residual + row * 384L + at), bs = four(bias + at);
    #pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float v = float(((const T*)&xs)[k]) + float(((const T*)&rs)[k]) + float(((const T*)&bs)[k]);
      values[j * 4 + k] = v;
      sum += v;
    }
  }
  for (int o = 16; o; o /= 2) sum += __shfl_xor_sync(0xffffffff, sum, o);
  const float mean = sum / 384;
  float squares = 0;
  #pragma unroll
  for (int j = 0; j < 12; ++j) squares += (values[j] - mean) * (values[j] - mean);
  for (int o = 16; o; o /= 2) squares += __shfl_xor_sync(0xffffffff, squares, o);
  const float scale = rsqrtf(squares / 384 + 1e-12f);
  #pragma unroll
  for (int j = 0; j < 3; ++j) {
    const int at = j * 128 + lane * 4;
    const uint2 ws = four(weight + at), ns = four(norm_bias + at);
    uint2 result;
    #pragma unroll
    for (int k = 0; k < 4; ++k)
      ((T*)&result)[k] = T((values[j * 4 + k] - mean) * scale * float(((const T*)&ws)[k]) + float(((const T*)&ns)[k]));
    *reinterpret_cast<uint2*>(y + row * 384L + at) = result;
  }
"""


def add_and_norm(x, bias, residual, norm):
    kernel = mx.fast.cuda_kernel(
        name="add_and_norm",
        input_names=["x", "residual", "bias", "weight", "norm_bias"],
        output_names=["y"],
        source=NORM_KERNEL,
    )
    blocks = (x.shape[0] + 7) // 8
    return kernel(
        inputs=[x, residual, bias, *norm],
        template=[("T", x.dtype)],
        grid=(blocks * 256, 1, 1),
        threadgroup=(256, 1, 1),
        output_shapes=[x.shape],
        output_dtypes=[x.dtype],
    )[0]


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
        # For rows without padding: the token and the position of each; the row of each place in the padded layout, the first of its
        # text for padding; and the place of each row.
        self.packed_tokens = array.array("I", [token for text in texts for token in text])
        self.packed_positions = array.array("I", [at for length in lengths for at in range(length)])
        first = [sum(lengths[:text]) for text in range(self.size)]
        self.rows = array.array("I", [f + (at if at < n else 0) for f, n in zip(first, lengths) for at in range(self.longest)])
        self.places = array.array("I", [text * self.longest + at for text, n in enumerate(lengths) for at in range(n)])


def attend(hidden, layer, batch, bias, fused):
    heads = linear(hidden, layer["query_key_value"], fused)
    if batch.get("rows") is not None:
        heads = heads[batch["rows"]]
    size, longest = batch["pooling"].shape[0], batch["pooling"].shape[-1]
    query, key, value = heads.reshape(size, longest, 3, HEADS, HEAD).transpose(2, 0, 3, 1, 4)
    if fused:
        attended = mx.fast.scaled_dot_product_attention(query, key, value, scale=1 / math.sqrt(HEAD), mask=bias)
    else:
        scores = (query * (1 / math.sqrt(HEAD))) @ key.transpose(0, 1, 3, 2)
        attended = mx.softmax(scores if bias is None else scores + bias, axis=-1) @ value
    attended = attended.transpose(0, 2, 1, 3).reshape(size * longest, HIDDEN)
    return attended if batch.get("places") is None else attended[batch["places"]]


def forward(model, fused, own_kernel):
    """Returns the function of a batch's arrays."""

    def run(batch):
        pooling, bias = batch["pooling"], batch.get("bias")
        positions = model["positions"]
        positions = positions[: pooling.shape[-1]] if batch.get("rows") is None else positions[batch["positions"]]
        hidden = layer_norm((model["words"][batch["tokens"]] + positions).reshape(-1, HIDDEN), model["norm"])
        bias = None if bias is None else bias.astype(hidden.dtype)
        for layer in model["layers"]:
            add = lambda x, name, norm: (
                add_and_norm(x @ layer[name][0], layer[name][1], hidden, layer[norm])
                if own_kernel
                else layer_norm(linear(x, layer[name], fused) + hidden, layer[norm])
            )
            hidden = add(attend(hidden, layer, batch, bias, fused), "attention_output", "attention_norm")
            hidden = add(gelu(linear(hidden, layer["intermediate"], fused)), "output", "output_norm")
        if batch.get("rows") is not None:
            hidden = hidden[batch["rows"]]
        hidden = hidden.reshape(pooling.shape[0], -1, HIDDEN).astype(mx.float32)
        mean = (pooling @ hidden).squeeze(1)
        return mean / mx.maximum(mx.sqrt(mx.square(mean).sum(axis=1, keepdims=True)), 1e-12)

    return run


class Models:
    """The variants, each of which is loaded when it is first used."""

    def __init__(self, folder):
        self.folder, self.loaded = folder, {}

    def embed(self, variant, batch):
        if variant not in self.loaded:
            dtype, fused, own_kernel, compiled = (VARIANTS | ANALYSIS)[variant]
            run = forward(load(self.folder, dtype), fused, own_kernel)
            self.loaded[variant] = mx.compile(run) if compiled else run
        size, longest = batch.size, batch.longest
        arrays = {"pooling": mx.array(batch.pooling).reshape(size, 1, longest)}
        if batch.bias is not None:
            arrays["bias"] = mx.array(batch.bias).reshape(size, 1, 1, longest)
        if "packed" in variant:
            arrays |= {"tokens": mx.array(batch.packed_tokens), "positions": mx.array(batch.packed_positions)}
            arrays |= {"rows": mx.array(batch.rows), "places": mx.array(batch.places)}
        else:
            arrays["tokens"] = mx.array(batch.tokens).reshape(size, longest)
        embeddings = self.loaded[variant](arrays)
        mx.eval(embeddings)
        return embeddings


def milliseconds(run, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def main():
    models, batch = Models(sys.argv[1]), None
    for line in sys.stdin:
        request = json.loads(line)
        if "device" in request:
            mx.set_default_device({"cpu": mx.cpu, "gpu": mx.gpu}[request["device"]])
            reply = True
        elif "tokens" in request:
            batch = Batch(request["tokens"])
            reply = True
        elif "variants" in request:
            on_gpu = mx.default_device() == mx.Device(mx.gpu)
            reply = [list(VARIANTS if on_gpu else ["float32"]), list(ANALYSIS if on_gpu and sys.platform == "linux" else [])]
        elif "runs" in request:
            reply = milliseconds(lambda: models.embed(request["variant"], batch), request["runs"])
        elif "embeddings" in request:
            reply = models.embed(request["embeddings"], batch).tolist()
        elif "peaks" in request:
            process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            reply = [mx.get_peak_memory(), process]
        else:
            reply = f"Python {platform.python_version()}, mlx {mx.__version__}"
        print(json.dumps(reply), flush=True)


main()
