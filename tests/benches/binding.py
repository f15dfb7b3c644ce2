# The operations of benches/binding.rs in Python, timed the same way: prints nanoseconds per operation.
import sys
import timeit

import mlx.core as mx

ROUNDS = int(sys.argv[1])

x = mx.ones((32, 32))
mx.eval(x)
for operation in ["mx.add(x, x)", "mx.exp(x)", "mx.sum(x, axis=0, keepdims=True)", "mx.matmul(x, x)"]:
    print(timeit.timeit(operation, globals=globals(), number=ROUNDS) * 1e9 / ROUNDS)
