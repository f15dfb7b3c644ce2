// Reductions and scans of float16 and bfloat16, which accumulate in float32. MLX accumulates some of them in half precision: the
// softmax of 4096 equal bfloat16 numbers would sum to 16, and their mean could overflow.
#pragma once

#include <vector>

#include "axes.h"
#include "convert.h"
#include "sizes.h"

namespace {

// Applies `f` to the array in float32 and converts the result back, if the array is of half precision.
template <typename F>
[[gnu::always_inline]] inline array in_float32(const array& a, F&& f) {
  bool half = a.dtype() == mx::float16 || a.dtype() == mx::bfloat16;
  return half ? mx::astype(f(mx::astype(a, mx::float32)), a.dtype()) : f(a);
}

// Returns the same as MLX's `issubdtype`, inlined.
inline bool is_inexact(mx::Dtype dtype) {
  switch (dtype.val()) {
    case mx::float16.val():
    case mx::bfloat16.val():
    case mx::float32.val():
    case mx::float64.val():
    case mx::complex64.val():
      return true;
    default:
      return false;
  }
}

// Returns the array, converted to float32 if its elements are integers or bools.
array floats_of(const array& a) {
  return is_inexact(a.dtype()) ? a : mx::astype(a, mx::float32);
}

} // namespace

namespace ops {

// Operations over several axes.
#define REDUCTION(name)                                                                \
  static array name(const array& a, const std::vector<int>& axes, bool keepdims) {     \
    return in_float32(a, [&](const array& x) { return mx::name(x, axes, keepdims); }); \
  }
REDUCTION(sum)
REDUCTION(prod)
REDUCTION(mean)
#undef REDUCTION

// MLX computes these two of integers and bools as if those were floats already.

array logsumexp(const array& a, const std::vector<int>& axes, bool keepdims) {
  if (a.size() == 0) {
    array sums = mx::sum(a, axes, keepdims);
    if (sums.size() == 0) {
      return mx::astype(sums, floats_of(a).dtype()); // MLX refuses every empty array, whatever is reduced.
    }
  }
  return in_float32(floats_of(a), [&](const array& x) { return mx::logsumexp(x, axes, keepdims); });
}

static NoLarger<array> softmax(const array& a, int axis) {
  axis = axis_of(a, axis);
  return {is_inexact(a.dtype()) ? mx::softmax(a, axis, /* precise */ true)
                                : mx::softmax(floats_of(a), axis, /* precise */ true)};
}

array var(const array& a, const std::vector<int>& axes, bool keepdims, int ddof) {
  return in_float32(a, [&](const array& x) { return mx::var(x, axes, keepdims, ddof); });
}

array std(const array& a, const std::vector<int>& axes, bool keepdims, int ddof) {
  return in_float32(a, [&](const array& x) { return mx::std(x, axes, keepdims, ddof); });
}

// Operations along an axis.
#define SCAN(name)                                                                               \
  array name(const array& a, int axis, bool reverse, bool inclusive) {                           \
    return in_float32(a, [&](const array& x) { return mx::name(x, axis, reverse, inclusive); }); \
  }
SCAN(cumsum)
SCAN(cumprod)
SCAN(logcumsumexp)
#undef SCAN

} // namespace ops
