// The operations of src/ops.rs: Rust's NAME calls `ops::NAME`. Most are MLX's own. Defined here and in the headers below are
// those that MLX's C++ interface lacks or overloads, and those that would read or write out of bounds.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <sstream>

#include "accumulation.h"
#include "convert.h"
#include "convolution.h"
#include "fourier.h"
#include "gelu.h"
#include "graph.h"
#include "indices.h"
#include "layer_norm.h"
#include "linalg.h"
#include "quantization.h"
#include "sizes.h"

namespace ops {

using namespace mlx::core;

// Functions that only MLX's Python interface has, by its definitions.

array relu(const array& a) {
  return maximum(a, array(0, a.dtype()));
}

array gelu(const array& any) {
  array a = floats_of(any);
  return a.dtype() == float32 && default_device() == Device::cpu ? gelu_on_cpu(a) : composed_gelu(a);
}

array silu(const array& a) {
  return mx::multiply(a, mx::sigmoid(a));
}

array stop_gradient(const array& a) {
  return constant(a);
}

// Overloads, each under its own name.

static array where_cond(const array& condition, const array& x, const array& y) {
  if (condition.dtype() != mx::bool_) {
    throw std::invalid_argument("the condition is not bool; compare, or convert it with `astype`");
  }
  return mx::where(condition, x, y);
}

array layer_norm(const array& a, const array& weight, const array& bias, float eps) {
  bool has_floats = issubdtype(mx::result_type(a, weight, bias), mx::inexact);
  return layer_norm_with_gradient(has_floats ? a : floats_of(a), weight, bias, eps);
}

[[gnu::cold, gnu::noinline]] void require_lengths(Axes axes) {
  for (int length : axes) {
    if (length < -1) {
      throw std::invalid_argument("an axis cannot have length " + std::to_string(length));
    }
  }
}

// Returns the lengths, and sets `bits` to the union of their bits.
static inline Shape to_lengths(const Axes& axes, size_t& bits) {
  Shape lengths(axes.size());
  auto place = lengths.begin();
  bits = 0;
  for (size_t at = 0; at < axes.size(); ++at) {
    bits |= static_cast<size_t>(axes[at]);
    *place++ = static_cast<int>(axes[at]);
  }
  if (bits > std::numeric_limits<int>::max()) {
    require_lengths(axes); // One is negative or too large.
  }
  return lengths;
}

static NoLarger<array> reshape(const array& a, const Axes& axes) {
  size_t bits;
  NoLarger<array> reshaped{mx::reshape(a, to_lengths(axes, bits))};
  if (!fits(bits, axes.size())) {
    require_size(reshaped.result); // MLX compares a product that may have overflowed.
  }
  return reshaped;
}

// With the constructor of the vector inlined.
[[gnu::flatten]] static NoLarger<array> transpose(const array& a, const Axes& axes) {
  return {mx::transpose(a, axes)};
}

static NoLarger<array> astype(const array& a, Dtype dtype) {
  return {mx::astype(a, dtype)};
}

// MLX would count an axis that is out of bounds as the nearest.
array flatten(const array& a, int start_axis, int end_axis) {
  if (a.ndim() == 0) {
    array row = mx::reshape(a, {1});
    axis_of(row, start_axis), axis_of(row, end_axis);
    return row;
  }
  return mx::flatten(a, axis_of(a, start_axis), axis_of(a, end_axis));
}

array clip(const array& a, const array& min, const array& max) {
  return mx::clip(a, min, max);
}

// Functions of the `Array` trait that MLX composes in Python.

array log_softmax(const array& a, int axis) {
  array x = floats_of(a);
  return mx::subtract(x, ops::logsumexp(x, {axis}, true));
}

array cross_entropy(const array& logits, const array& targets) {
  array x = floats_of(logits);
  array indices = mx::expand_dims(in_bounds(targets, x.shape(axis_of(x, -1))), -1);
  if (indices.ndim() != x.ndim() || !std::equal(x.shape().begin(), x.shape().end() - 1, indices.shape().begin())) {
    throw std::invalid_argument("the targets have another shape than the axes of the logits but the last");
  }
  return mx::subtract(ops::logsumexp(x, {-1}, false), mx::squeeze(mx::take_along_axis(x, indices, -1), -1));
}

array one_hot(const array& a, int classes, Dtype dtype) {
  if (!issubdtype(a.dtype(), integer)) {
    throw std::invalid_argument("the classes are not integers; convert them with `astype`");
  }
  return mx::astype(mx::equal(mx::expand_dims(a, -1), mx::arange(0, classes, 1, mx::int64)), dtype);
}

array narrow(const array& a, int axis, int start, int length) {
  axis = axis_of(a, axis);
  Shape starts(a.ndim(), 0), stops = a.shape();
  starts[axis] = start;
  stops[axis] = length > std::numeric_limits<int>::max() - start ? -1 : start + length;
  return ops::slice(a, starts, stops);
}

Arrays split_at(const array& a, const Shape& indices, int axis) {
  return mx::split(a, indices, axis);
}

array tile(const array& a, const Shape& repetitions) {
  return mx::tile(a, std::vector<int>(repetitions.begin(), repetitions.end()));
}

// Integer division. Dividing the smallest int32 or int64 by -1 is a trap, so nothing is divided by -1.

bool may_trap(mx::Dtype dtype) {
  return dtype == mx::int32 || dtype == mx::int64;
}

array replace_minus_one(const array& b) {
  return mx::where(mx::equal(b, array(-1, b.dtype())), array(1, b.dtype()), b);
}

array floor_divide(const array& a, const array& b) {
  auto dtype = mx::promote_types(a.dtype(), b.dtype());
  if (!may_trap(dtype)) {
    return mx::floor_divide(a, b);
  }
  auto divisor = mx::astype(b, dtype), negated = mx::negative(mx::astype(a, dtype));
  auto by_minus_one = mx::equal(divisor, array(-1, dtype));
  return mx::where(by_minus_one, negated, mx::floor_divide(a, replace_minus_one(divisor)));
}

array remainder(const array& a, const array& b) {
  auto dtype = mx::promote_types(a.dtype(), b.dtype());
  return mx::remainder(a, may_trap(dtype) ? replace_minus_one(mx::astype(b, dtype)) : b);
}

// MLX's divmod writes both results to one buffer where it may reuse an operand's, and traps on an integer division by zero.
Arrays divmod(const array& a, const array& b) {
  return {ops::floor_divide(a, b), ops::remainder(a, b)};
}

// MLX refuses every empty array, also where the axis is not.
#define INDEX_OF(name)                                  \
  array name(const array& a, int axis, bool keepdims) { \
    if (a.size() == 0) {                                \
      array sums = mx::sum(a, axis, keepdims);          \
      if (sums.size() == 0) {                           \
        return mx::astype(sums, mx::uint32);            \
      }                                                 \
    }                                                   \
    return mx::name(a, axis, keepdims);                 \
  }
INDEX_OF(argmax)
INDEX_OF(argmin)
#undef INDEX_OF

// Checks of numbers and lengths

// MLX does not stop where no elements are left.
array diff(const array& a, int n, int axis) {
  if (n > a.shape(axis_of(a, axis))) {
    throw std::invalid_argument(
        "the axis has length " + std::to_string(a.shape(axis_of(a, axis))) + ", which allows no " + std::to_string(n) +
        " differences");
  }
  return mx::diff(a, n, axis);
}

static NoLarger<Arrays> split(const array& a, int parts, int axis) {
  if (parts > std::max(a.shape()[axis_of(a, axis)], 1)) {
    throw std::invalid_argument(
        "the axis has length " + std::to_string(a.shape(axis_of(a, axis))) + ", too few for " + std::to_string(parts) +
        " parts");
  }
  return {mx::split(a, parts, axis)};
}

// Returns the number as an array. C++ leaves the conversion to an integer that cannot represent the number undefined.
static array number(double value, Dtype dtype) {
  if (issubdtype(dtype, integer)) {
    bool is_signed = issubdtype(dtype, signedinteger);
    uint64_t highest = std::numeric_limits<uint64_t>::max() >> (64 - 8 * size_of(dtype) + is_signed);
    int64_t lowest = is_signed ? -static_cast<int64_t>(highest) - 1 : 0;
    double whole = std::trunc(value), end = std::ldexp(1.0, std::bit_width(highest));
    if (!(whole >= static_cast<double>(lowest) && whole < end)) { // A NaN is not in the range either.
      std::ostringstream message;
      message << "the value " << value << " is out of range; give one from " << lowest << " to " << highest;
      throw std::invalid_argument(message.str());
    }
  }
  return array(value, dtype);
}

// The value is a number, since MLX's `pad` has no gradient for an array there and reads out of bounds.
array pad(const array& a, const std::vector<std::pair<int, int>>& widths, double value, const std::string& mode) {
  if (widths.size() != a.ndim()) {
    throw std::invalid_argument(
        "there are " + std::to_string(widths.size()) + " pairs of widths for " + std::to_string(a.ndim()) +
        " axes; give one for each axis");
  }
  if (mode == "reflect" || mode == "symmetric") {
    // MLX adds several operations for each repetition of the axis.
    for (size_t i = 0; i < widths.size(); ++i) {
      if (std::max(widths[i].first, widths[i].second) > a.shape(i)) {
        throw std::invalid_argument(
            "axis " + std::to_string(i) + " has length " + std::to_string(a.shape(i)) +
            ", less than a width; mirror no more than there is");
      }
    }
  }
  return mx::pad(a, widths, number(mode == "constant" ? value : 0, a.dtype()), mode);
}

// The gradient of MLX's scans searches for the element that equals the maximum, and writes out of bounds where that is NaN.
using Scan = array(const array&, int, bool, bool, StreamOrDevice);

array nan_aware_scan(const array& a, int axis, bool reverse, bool inclusive, Scan* scan, double least) {
  if (!issubdtype(a.dtype(), floating)) {
    return scan(a, axis, reverse, inclusive, {});
  }
  axis = axis_of(a, axis);
  auto nan = mx::isnan(a);
  auto seen = mx::greater(mx::cumsum(mx::astype(nan, mx::int32), axis, reverse, inclusive), array(0));
  auto numbers = scan(mx::where(nan, array(least, a.dtype()), a), axis, reverse, inclusive, {});
  return mx::where(seen, array(std::nan(""), a.dtype()), numbers);
}

array cummax(const array& a, int axis, bool reverse, bool inclusive) {
  return nan_aware_scan(a, axis, reverse, inclusive, mx::cummax, -std::numeric_limits<double>::infinity());
}

array cummin(const array& a, int axis, bool reverse, bool inclusive) {
  return nan_aware_scan(a, axis, reverse, inclusive, mx::cummin, std::numeric_limits<double>::infinity());
}

// MLX takes one element of `src` for each place where the mask is true. If there are too few it notices when it computes the
// result, but the gradient writes out of bounds. As with indices, a mask that is computed is checked; for another one, `src`
// is padded with zeros.
array masked_scatter(const array& a, const array& mask, const array& src) {
  auto result = mx::masked_scatter(a, mask, src);
  if (src.size() == 0) {
    throw std::invalid_argument("`src` is empty; give an entry for each place where the mask is true");
  }
  bool is_flat = src.ndim() == a.ndim() - mask.ndim() + 1;
  if (!is_flat || static_cast<size_t>(src.shape(0)) >= mask.size()) {
    return result;
  }
  if (mask.is_available() && !mask.is_tracer()) {
    int needed = mx::sum(mx::astype(mask, mx::int32)).item<int>();
    if (needed > src.shape(0)) {
      throw std::invalid_argument(
          "the mask is true in " + std::to_string(needed) + " places, and `src` has only " +
          std::to_string(src.shape(0)) + " entries");
    }
  }
  std::vector<std::pair<int, int>> widths(src.ndim(), {0, 0});
  widths[0].second = static_cast<int>(mask.size()) - src.shape(0);
  return mx::masked_scatter(a, mask, mx::pad(src, widths, array(0, src.dtype())));
}

// Diagonals. Those outside the matrix are empty; MLX computes their lengths in 32 bits, which overflows far outside.

int clamp_diagonal(int k, int rows, int columns) {
  return std::clamp(k, -rows, columns);
}

array eye(int n, int m, int k, Dtype dtype) {
  return mx::eye(n, m, clamp_diagonal(k, n, m), dtype);
}

array tri(int n, int m, int k, Dtype dtype) {
  return n == 0 || m == 0 ? mx::zeros({n, m}, dtype) : mx::tri(n, m, clamp_diagonal(k, n, m), dtype);
}

array tril(const array& a, int k) {
  return mx::tril(a, a.ndim() < 2 ? k : clamp_diagonal(k, a.shape(-2), a.shape(-1)));
}

array triu(const array& a, int k) {
  // MLX computes the triangle below `k - 1`, so the range begins one further down.
  return mx::triu(a, a.ndim() < 2 ? k : clamp_diagonal(k, a.shape(-2) - 1, a.shape(-1)));
}

array diagonal(const array& a, int offset, int axis1, int axis2) {
  int rows = a.shape(axis_of(a, axis1)), columns = a.shape(axis_of(a, axis2));
  return mx::diagonal(a, clamp_diagonal(offset, rows, columns), axis1, axis2);
}

array trace(const array& a, int offset, int axis1, int axis2) {
  int rows = a.shape(axis_of(a, axis1)), columns = a.shape(axis_of(a, axis2));
  auto result = mx::trace(a, clamp_diagonal(offset, rows, columns), axis1, axis2);
  bool empty = a.size() == 0 || offset >= columns || -int64_t{offset} >= rows;
  return empty ? mx::zeros(result.shape(), result.dtype()) : result; // See `finish`.
}

array diag(const array& a, int k) {
  if (a.ndim() == 2) {
    return mx::diag(a, clamp_diagonal(k, a.shape(0), a.shape(1)));
  }
  if (std::abs(int64_t{k}) + static_cast<int64_t>(a.size()) > (1 << 24)) {
    throw std::invalid_argument("the matrix would have more than 2^24 rows");
  }
  return mx::diag(a, k);
}

namespace random {

using namespace mlx::core::random;

array uniform(const array& low, const array& high, const Shape& shape, Dtype dtype, const array& key) {
  return mx::random::uniform(low, high, shape, dtype, key);
}

// MLX converts `loc` and `scale` to the dtype before it refuses one that has no such numbers.
array normal(const Shape& shape, Dtype dtype, float loc, float scale, const array& key) {
  if (!is_inexact(dtype)) {
    throw std::invalid_argument("normal draws are floats; give a float dtype or complex64");
  }
  return mx::random::normal(shape, dtype, loc, scale, key);
}

array categorical(const array& logits, int axis, int num_samples, const array& key) {
  return mx::random::categorical(logits, axis, num_samples, key);
}

} // namespace random

namespace fast {

using namespace mlx::core::fast;

array layer_norm(const array& a, const std::optional<array>& weight, const std::optional<array>& bias, float eps) {
  return layer_norm_with_gradient(a, weight, bias, eps);
}

// MLX (0.32.4) divides by the number of the keys' heads, which ends the process if there are none.
void check_attention(const array& queries, const array& keys, const array& values) {
  for (const array& operand : {queries, keys, values}) {
    if (operand.ndim() != 4) {
      throw std::invalid_argument("queries, keys and values need 4 axes");
    }
  }
  if (keys.shape(1) == 0) {
    throw std::invalid_argument("the keys have no heads");
  }
  if (keys.shape(2) != values.shape(2)) {
    throw std::invalid_argument("there are not as many values as keys");
  }
}

array scaled_dot_product_attention(
    const array& queries, const array& keys, const array& values, float scale, const std::optional<array>& mask) {
  check_attention(queries, keys, values);
  return mx::fast::scaled_dot_product_attention(queries, keys, values, scale, mask ? "array" : "", mask);
}

array causal_attention(const array& queries, const array& keys, const array& values, float scale) {
  check_attention(queries, keys, values);
  return mx::fast::scaled_dot_product_attention(queries, keys, values, scale, "causal");
}

// The kernel of a GPU (MLX 0.32.4) has a first derivative in reverse mode and no other: for those, MLX derives the targets, too.
array cross_entropy(const array& logits, const array& targets) {
  array fused = mx::fast::cross_entropy(logits, in_bounds(targets, logits.shape(axis_of(logits, -1))));
  bool is_derived = mx::default_device() == mx::Device::gpu && logits.is_tracer();
  return is_derived ? mx::astype(ops::cross_entropy(logits, targets), fused.dtype()) : fused;
}

} // namespace fast

} // namespace ops
