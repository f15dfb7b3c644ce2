# The operations of benches/binding.rs in Python, in the same order, timed the same way: prints nanoseconds per operation.
import sys
import timeit

import mlx.core as mx

OPERATIONS = [
    "mx.add(x, x)",
    "mx.exp(x)",
    "mx.sum(x, axis=0, keepdims=True)",
    "mx.matmul(x, x)",
    "mx.reshape(x, (16, 64))",
    "mx.transpose(x, (1, 0))",
    "x.astype(mx.float16)",
    "mx.where(mask, x, x)",
    "mx.softmax(x, axis=1, precise=True)",
    "mx.fast.layer_norm(x, weight, bias, 1e-5)",
    "mx.concatenate(parts, axis=0)",
    "mx.split(x, 4, axis=0)",
]

rounds = int(sys.argv[1])
x = mx.ones((32, 32))
mask = mx.ones((32, 32), dtype=mx.bool_)
weight, bias = mx.ones((32,)), mx.zeros((32,))
parts = [x, x, x]
mx.eval(x, mask, weight, bias)
for operation in OPERATIONS:
    timeit.timeit(operation, globals=globals(), number=rounds)  # A new process is slower at first.
    print(timeit.timeit(operation, globals=globals(), number=rounds) * 1e9 / rounds)
