// The operations of ops.rs: `ops::NAME` is what Rust's NAME calls. Most are MLX's own; defined here are those that MLX's C++
// interface lacks or has under overloads, and those that would read or write out of bounds.
// What there is more to say about has a file of its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "base.h"
#include "convolution.h"
#include "gelu.h"
#include "indices.h"
#include "linalg.h"
#include "mlx/backend/cuda/cuda.h"
#include "quantization.h"

namespace {

// MLX's CUDA kernel for the gradient is wrong where the last axis is no whole number of 16-byte vectors (0.32.4): there
// the norm is put together from operations whose gradients are right, in float32 as the kernel computes.
array normalized(const array& a, const std::optional<array>& weight, const std::optional<array>& bias, float eps) {
  // Refuses what it refuses; computed only if it is returned.
  array fused = mx::fast::layer_norm(a, weight, bias, eps);
  bool on_cuda = mx::default_device() == mx::Device::gpu && mx::cu::is_available();
  if (!on_cuda || a.shape(-1) * a.itemsize() % 16 == 0) {
    return fused;
  }
  array x = mx::astype(a, mx::float32);
  x = mx::subtract(x, mx::mean(x, -1, true));
  x = mx::multiply(x, mx::rsqrt(mx::add(mx::mean(mx::square(x), -1, true), array(eps))));
  x = mx::astype(x, fused.dtype());
  if (weight) {
    x = mx::multiply(x, *weight);
  }
  return mx::astype(bias ? mx::add(x, *bias) : x, fused.dtype());
}

} // namespace

namespace ops {

using namespace mlx::core;

// What MLX's C++ interface does not name, by the definitions of its Python one.

array relu(const array& a) {
  return maximum(a, array(0, a.dtype()));
}

array gelu(const array& integers_too) {
  bool inexact = issubdtype(integers_too.dtype(), mx::inexact);
  array a = inexact ? integers_too : mx::astype(integers_too, float32);
  return a.dtype() == float32 && default_device() == Device::cpu ? gelu_on_cpu(a) : composed_gelu(a);
}

array silu(const array& a) {
  return mx::multiply(a, mx::sigmoid(a));
}

// Overloads under names of their own.

array where_cond(const array& condition, const array& x, const array& y) {
  return mx::where(condition, x, y);
}

array layer_norm(const array& a, const array& weight, const array& bias, float eps) {
  return normalized(a, weight, bias, eps);
}

Arrays split_at(const array& a, const Shape& indices, int axis) {
  return mx::split(a, indices, axis);
}

array tile(const array& a, const Shape& repetitions) {
  return mx::tile(a, std::vector<int>(repetitions.begin(), repetitions.end()));
}

// What MLX would do unchecked.

// A processor traps where the smallest int32 is divided by -1, so that nothing is divided by -1.

bool divides_int32(const array& a, const array& b) {
  return mx::promote_types(a.dtype(), b.dtype()) == mx::int32;
}

array not_minus_one(const array& b) {
  return mx::where(mx::equal(b, array(-1)), array(1), b);
}

array floor_divide(const array& a, const array& b) {
  if (!divides_int32(a, b)) {
    return mx::floor_divide(a, b);
  }
  auto negated = mx::negative(mx::astype(a, mx::int32));
  return mx::where(mx::equal(b, array(-1)), negated, mx::floor_divide(a, not_minus_one(b)));
}

array remainder(const array& a, const array& b) {
  return mx::remainder(a, divides_int32(a, b) ? not_minus_one(b) : b);
}

// MLX's own writes both results to one buffer where it may reuse an operand's, and traps at integers divided by zero.
Arrays divmod(const array& a, const array& b) {
  return {ops::floor_divide(a, b), ops::remainder(a, b)};
}

// MLX goes on where nothing is left.
array diff(const array& a, int n, int axis) {
  if (n > a.shape(axis_of(a, axis))) {
    throw std::invalid_argument("there are not that many differences along the axis");
  }
  return mx::diff(a, n, axis);
}

Arrays split(const array& a, int parts, int axis) {
  if (parts > std::max(a.shape(axis_of(a, axis)), 1)) {
    throw std::invalid_argument("the axis has fewer entries than there would be parts");
  }
  return mx::split(a, parts, axis);
}

// The gradient of MLX's `pad` has no place for that of the value, so that this is never an array that is traced.
array pad(const array& a, const std::vector<std::pair<int, int>>& widths, double value, const std::string& mode) {
  if (widths.size() != a.ndim()) {
    throw std::invalid_argument("there must be a pair of widths for each axis");
  }
  if (mode == "reflect" || mode == "symmetric") {
    // MLX adds a few operations for each time that the axis repeats.
    for (size_t i = 0; i < widths.size(); ++i) {
      if (std::max(widths[i].first, widths[i].second) > a.shape(i)) {
        throw std::invalid_argument("a mirrored axis must be as long as its widths, or longer");
      }
    }
  }
  return mx::pad(a, widths, array(value, a.dtype()), mode);
}

// The gradient of MLX's scans looks for the element that a maximum comes from, and where it is NaN writes out of bounds.
using Scan = array(const array&, int, bool, bool, StreamOrDevice);

array extreme(const array& a, int axis, bool reverse, bool inclusive, Scan* scan, double least) {
  if (!issubdtype(a.dtype(), floating)) {
    return scan(a, axis, reverse, inclusive, {});
  }
  axis = axis_of(a, axis);
  auto nan = mx::stop_gradient(mx::isnan(a));
  auto seen = mx::greater(mx::cumsum(mx::astype(nan, mx::int32), axis, reverse, inclusive), array(0));
  auto numbers = scan(mx::where(nan, array(least, a.dtype()), a), axis, reverse, inclusive, {});
  return mx::where(seen, array(std::nan(""), a.dtype()), numbers);
}

array cummax(const array& a, int axis, bool reverse, bool inclusive) {
  return extreme(a, axis, reverse, inclusive, mx::cummax, -std::numeric_limits<double>::infinity());
}

array cummin(const array& a, int axis, bool reverse, bool inclusive) {
  return extreme(a, axis, reverse, inclusive, mx::cummin, std::numeric_limits<double>::infinity());
}

// MLX takes one element of `src` for each that is true, and finds too few only where it computes the result: its gradient
// then writes out of bounds. As with indices, a mask that is computed is checked; for others `src` goes on in zeros.
array masked_scatter(const array& a, const array& mask, const array& src) {
  auto result = mx::masked_scatter(a, mask, src);
  if (src.size() == 0) {
    throw std::invalid_argument("there are no elements to put where the mask is true");
  }
  bool in_a_row = src.ndim() == a.ndim() - mask.ndim() + 1;
  if (!in_a_row || static_cast<size_t>(src.shape(0)) >= mask.size()) {
    return result;
  }
  if (mask.is_available() && !mask.is_tracer()) {
    int needed = mx::sum(mx::astype(mask, mx::int32)).item<int>();
    if (needed > src.shape(0)) {
      throw std::invalid_argument(
          "the mask is true " + std::to_string(needed) + " times, and there are only " + std::to_string(src.shape(0)) +
          " entries to put there");
    }
  }
  std::vector<std::pair<int, int>> widths(src.ndim(), {0, 0});
  widths[0].second = static_cast<int>(mask.size()) - src.shape(0);
  return mx::masked_scatter(a, mask, mx::pad(src, widths, array(0, src.dtype())));
}

// Diagonals: those far out are all empty, and MLX computes their lengths in 32 bits.

int near(int k, int rows, int columns) {
  return std::clamp(k, -rows, columns);
}

array eye(int n, int m, int k, Dtype dtype) {
  return mx::eye(n, m, near(k, n, m), dtype);
}

array tri(int n, int m, int k, Dtype dtype) {
  return n == 0 || m == 0 ? mx::zeros({n, m}, dtype) : mx::tri(n, m, near(k, n, m), dtype);
}

array tril(const array& a, int k) {
  return mx::tril(a, a.ndim() < 2 ? k : near(k, a.shape(-2), a.shape(-1)));
}

array triu(const array& a, int k) {
  // One more, as it takes the triangle below `k - 1`.
  return mx::triu(a, a.ndim() < 2 ? k : near(k, a.shape(-2) - 1, a.shape(-1)));
}

array diagonal(const array& a, int offset, int axis1, int axis2) {
  int rows = a.shape(axis_of(a, axis1)), columns = a.shape(axis_of(a, axis2));
  return mx::diagonal(a, near(offset, rows, columns), axis1, axis2);
}

array trace(const array& a, int offset, int axis1, int axis2) {
  int rows = a.shape(axis_of(a, axis1)), columns = a.shape(axis_of(a, axis2));
  auto result = mx::trace(a, near(offset, rows, columns), axis1, axis2);
  bool empty = a.size() == 0 || offset >= columns || -int64_t{offset} >= rows;
  return empty ? mx::zeros(result.shape(), result.dtype()) : result; // See `plain`.
}

array diag(const array& a, int k) {
  if (a.ndim() == 2) {
    return mx::diag(a, near(k, a.shape(0), a.shape(1)));
  }
  if (std::abs(int64_t{k}) + static_cast<int64_t>(a.size()) > (1 << 24)) {
    throw std::invalid_argument("the matrix would be too large");
  }
  return mx::diag(a, k);
}

namespace random {

using namespace mlx::core::random;

array uniform(const array& low, const array& high, const Shape& shape, Dtype dtype, const array& key) {
  return mx::random::uniform(low, high, shape, dtype, key);
}

array categorical(const array& logits, int axis, int num_samples, const array& key) {
  return mx::random::categorical(logits, axis, num_samples, key);
}

} // namespace random

namespace fast {

using namespace mlx::core::fast;

array layer_norm(const array& a, const std::optional<array>& weight, const std::optional<array>& bias, float eps) {
  return normalized(a, weight, bias, eps);
}

array scaled_dot_product_attention(
    const array& queries, const array& keys, const array& values, float scale, const std::optional<array>& mask) {
  return mx::fast::scaled_dot_product_attention(queries, keys, values, scale, mask ? "array" : "", mask);
}

array causal_attention(const array& queries, const array& keys, const array& values, float scale) {
  return mx::fast::scaled_dot_product_attention(queries, keys, values, scale, "causal");
}

array cross_entropy(const array& logits, const array& targets) {
  return mx::fast::cross_entropy(logits, in_bounds(targets, logits.shape(axis_of(logits, -1))));
}

} // namespace fast

} // namespace ops

#include "ops.inc"
