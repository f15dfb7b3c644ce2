"""Writes random_numbers.json: draws of Python's MLX on a CPU, for the tests of `grad_runtime::random`.

    pip install mlx==0.32.4 mlx-cpu==0.32.4
    python random_numbers.py
"""

import json
import pathlib

import mlx.core as mx

mx.set_default_device(mx.cpu)
SHAPES = [[], [1], [0], [2], [3], [7], [5, 3], [2, 3, 4], [2, 0, 3], [33]]
FLOATS = ["float32", "float16", "bfloat16"]
cases = []


def key_of(seed, path):
    """Returns the key of a seed, after splitting it into `num` keys and taking the one at `index`, for each of `path`."""
    key = mx.random.key(seed)
    for num, index in path:
        key = mx.random.split(key, num)[index]
    return key


def add(function, arguments, draw, seed=7, path=()):
    draws = draw(key_of(seed, path))
    dtype = str(draws.dtype).removeprefix("mlx.core.")
    wide = draws.astype(mx.float32) if dtype in FLOATS else draws
    cases.append({
        "function": function, **arguments, "seed": seed, "path": [list(step) for step in path],
        "shape": list(draws.shape), "dtype": dtype, "elements": wide.reshape([-1]).tolist(),
    })


def each_shape_and_dtype(function, arguments, draw):
    for dtype in FLOATS:
        for shape in SHAPES:
            add(function, arguments, lambda key: draw(shape, getattr(mx, dtype), key))


for seed in [0, 1, 7, 2**32 + 5, 2**64 - 1]:
    add("key", {}, lambda key: key, seed)
    for num in [0, 1, 2, 3, 5]:
        add("split", {"num": num}, lambda key: mx.random.split(key, num), seed)
    add("uniform", {"low": 0.0, "high": 1.0}, lambda key: mx.random.uniform(shape=[5], key=key), seed)
for path in [[(2, 0)], [(2, 1)], [(3, 2), (5, 4)], [(7, 3), (2, 1), (2, 0)]]:
    add("uniform", {"low": 0.0, "high": 1.0}, lambda key: mx.random.uniform(shape=[5], key=key), path=path)
    add("normal", {"loc": 0.0, "scale": 1.0}, lambda key: mx.random.normal([5], key=key), path=path)

for low, high in [(0.0, 1.0), (-1.0, 1.0), (2.0, 4.0), (-0.1, 1000.3), (5.0, 5.0)]:
    each_shape_and_dtype(
        "uniform", {"low": low, "high": high},
        lambda shape, dtype, key: mx.random.uniform(low, high, shape, dtype, key),
    )
for loc, scale in [(0.0, 1.0), (2.0, 1.0), (0.0, 3.0), (-1.5, 0.02), (1.0, 0.0)]:
    for name in ["normal", "laplace"]:
        function = getattr(mx.random, name)
        each_shape_and_dtype(
            name, {"loc": loc, "scale": scale},
            lambda shape, dtype, key: function(shape, dtype, loc, scale, key),
        )
for lower, upper in [(-1.0, 1.0), (-3.0, 3.0), (0.5, 4.0)]:
    each_shape_and_dtype(
        "truncated_normal", {"lower": lower, "upper": upper},
        lambda shape, dtype, key: mx.random.truncated_normal(lower, upper, shape, dtype, key),
    )
each_shape_and_dtype("gumbel", {}, lambda shape, dtype, key: mx.random.gumbel(shape, dtype, key=key))
for low, high, dtype in [
    (0, 6, "int32"), (-3, 3, "int32"), (0, 1, "int32"), (-(2**31), 2**31 - 1, "int32"), (-(2**31), 2**31, "int32"),
    (16777216, 16777220, "int32"), (0, 10, "uint32"), (0, 2**32 - 1, "uint32"), (2**31, 2**31 + 1000, "uint32"),
]:
    for shape in SHAPES:
        add(
            "randint", {"low": low, "high": high},
            lambda key: mx.random.randint(low, high, shape, getattr(mx, dtype), key),
        )
for p in [0.0, 0.1, 0.5, 0.9, 1.0]:
    for shape in SHAPES:
        add("bernoulli", {"p": p}, lambda key: mx.random.bernoulli(p, shape, key))
for n in [0, 1, 2, 5, 33]:
    add("randperm", {"n": n}, lambda key: mx.random.permutation(n, key=key))
for logits, axis in [
    ([0.0, 1.0, 2.0], 0), ([0.0], -1), ([1.0, float("-inf"), 0.5, -2.0], 0), ([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]], 1),
    ([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]], 0), ([[0.3, -0.7]], 1), ([[[0.1], [0.2]], [[0.5], [-0.5]]], 1),
]:
    for num in [1, 2, 9]:
        array = mx.array(logits)
        flat = [None if x == float("-inf") else x for x in array.reshape([-1]).tolist()]
        arguments = {"logits": flat, "logits_shape": list(array.shape), "axis": axis, "num_samples": num}
        add("categorical", arguments, lambda key: mx.random.categorical(array, axis, num_samples=num, key=key))

lines = ",\n".join("    " + json.dumps(case) for case in cases)
text = f'{{\n  "made_by": {json.dumps({"mlx": mx.__version__})},\n  "cases": [\n{lines}\n  ]\n}}\n'
assert json.loads(text)["cases"] == cases
pathlib.Path(__file__).with_name("random_numbers.json").write_text(text, encoding="utf-8")
