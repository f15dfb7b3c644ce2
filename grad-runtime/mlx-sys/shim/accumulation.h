// Reductions and scans of float16 and bfloat16, which accumulate in float32. MLX accumulates some of them in half precision: the
// softmax of 4096 equal bfloat16 numbers would sum to 16, and their mean could overflow.
#pragma once

#include <vector>

#include "convert.h"

namespace {

// Applies `f` to the array in float32 and converts the result back, if the array is of half precision.
template <typename F>
array in_float32(const array& a, F&& f) {
  bool half = a.dtype() == mx::float16 || a.dtype() == mx::bfloat16;
  return half ? mx::astype(f(mx::astype(a, mx::float32)), a.dtype()) : f(a);
}

} // namespace

namespace ops {

// Operations over several axes.
#define REDUCTION(name)                                                              \
  array name(const array& a, const std::vector<int>& axes, bool keepdims) {          \
    return in_float32(a, [&](const array& x) { return mx::name(x, axes, keepdims); }); \
  }
REDUCTION(sum)
REDUCTION(prod)
REDUCTION(mean)
REDUCTION(logsumexp)
#undef REDUCTION

array var(const array& a, const std::vector<int>& axes, bool keepdims, int ddof) {
  return in_float32(a, [&](const array& x) { return mx::var(x, axes, keepdims, ddof); });
}

array std(const array& a, const std::vector<int>& axes, bool keepdims, int ddof) {
  return in_float32(a, [&](const array& x) { return mx::std(x, axes, keepdims, ddof); });
}

array softmax(const array& a, int axis) {
  return mx::softmax(a, axis, /* precise */ true);
}

// Operations along an axis.
#define SCAN(name)                                                                            \
  array name(const array& a, int axis, bool reverse, bool inclusive) {                        \
    return in_float32(a, [&](const array& x) { return mx::name(x, axis, reverse, inclusive); }); \
  }
SCAN(cumsum)
SCAN(cumprod)
SCAN(logcumsumexp)
#undef SCAN

} // namespace ops
