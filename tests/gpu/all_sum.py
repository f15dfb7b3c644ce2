"""Measures an all_sum of Python MLX among the processes that its variables name, as `mlx-collectives bandwidth` does.

    python3 all_sum.py MIB
"""

import statistics
import sys
import time

import mlx.core as mx

mebibytes = int(sys.argv[1])
group = mx.distributed.init(strict=True, backend="nccl")
size, length = group.size(), mebibytes << 18
x = mx.ones((length,), dtype=mx.float32)
times = []
for step in range(12):
    mx.eval(x, mx.distributed.all_sum(mx.array(1), group=group))
    start = time.perf_counter()
    total = mx.distributed.all_sum(x, group=group)
    mx.eval(total)
    if step > 1:
        times.append(time.perf_counter() - start)
    assert total[-1].item() == size
median = statistics.median(times)
if group.rank() == 0:
    bus = 4 * length * 2 * (size - 1) / size / median / 1e9
    print(f"Python MLX: all_sum of {mebibytes} MiB on {size}: {1e3 * median:.2f} ms, {bus:.1f} GB/s of bus")
