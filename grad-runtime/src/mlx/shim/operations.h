// The operations of ops.rs: `ops::NAME` is what Rust's NAME calls. Most are MLX's own; defined here are those that MLX's C++
// interface lacks or has under overloads, and those that would read or write out of bounds.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "base.h"

namespace {

// Indices of slices of length `size` along an axis of length `length`, which MLX would use unchecked: those already
// computed are checked, others are clamped, as in JAX.
array in_bounds(const array& indices, int length, int size = 1) {
  if (indices.dtype() != mx::int32 && indices.dtype() != mx::uint32) {
    throw std::invalid_argument("indices must be int32 or uint32: convert them with `astype`");
  }
  if (size > length && indices.size() > 0) {
    throw std::out_of_range(
        size == 1 ? "the axis is empty, so there is nothing to take" : "a slice is longer than its axis");
  }
  int last = length - size;
  if (!indices.is_available() || indices.is_tracer()) {
    // In their own dtype: a large uint32 is a negative int32.
    return mx::clip(indices, array(0, indices.dtype()), array(last, indices.dtype()));
  }
  auto row = mx::contiguous(indices);
  row.eval();
  for (size_t i = 0; i < row.size(); ++i) {
    int64_t at = row.dtype() == mx::uint32 ? int64_t{row.data<uint32_t>()[i]} : int64_t{row.data<int32_t>()[i]};
    if (at < 0 || at > last) {
      throw std::out_of_range(
          "index " + std::to_string(at) + " is out of bounds for an axis of length " + std::to_string(length));
    }
  }
  return indices;
}

// An axis counted from the start.
int axis_of(const array& a, int axis) {
  int ndim = static_cast<int>(a.ndim());
  if (axis < -ndim || axis >= ndim) {
    throw std::invalid_argument("there is no axis " + std::to_string(axis));
  }
  return axis < 0 ? axis + ndim : axis;
}

Arrays in_bounds(const array& a, const Arrays& indices, const std::vector<int>& axes, const mx::Shape& sizes) {
  if (indices.size() != axes.size() || sizes.size() != a.ndim()) {
    throw std::invalid_argument("there must be an array of indices for each of the axes, and a slice size for each axis");
  }
  Arrays all;
  for (size_t i = 0; i < axes.size(); ++i) {
    int axis = axis_of(a, axes[i]);
    all.push_back(in_bounds(indices[i], a.shape(axis), sizes[axis]));
  }
  return all;
}

// The same for updates, whose last axes are a slice.
Arrays in_bounds(const array& a, const Arrays& indices, const std::vector<int>& axes, const array& updates) {
  if (updates.ndim() < a.ndim()) {
    throw std::invalid_argument("the updates need the axes of the indices and then those of a slice");
  }
  return in_bounds(a, indices, axes, mx::Shape(updates.shape().end() - a.ndim(), updates.shape().end()));
}

// A range within each axis; MLX would clamp.
void require_range(const array& a, const mx::Shape& start, const mx::Shape& stop, const mx::Shape& strides) {
  bool fits = start.size() == a.ndim() && stop.size() == a.ndim() && strides.size() == a.ndim();
  for (size_t i = 0; fits && i < a.ndim(); ++i) {
    fits = 0 <= start[i] && start[i] <= stop[i] && stop[i] <= a.shape(i) && strides[i] > 0;
  }
  if (!fits) {
    throw std::invalid_argument("that is not a range within each of its axes");
  }
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
  auto constant = [&](double x) { return array(x, a.dtype()); };
  auto cdf = mx::erf(mx::divide(a, constant(std::sqrt(2.0))));
  return mx::divide(mx::multiply(a, mx::add(constant(1), cdf)), constant(2));
}

array silu(const array& a) {
  return mx::multiply(a, mx::sigmoid(a));
}

// Overloads under names of their own.

array where_cond(const array& condition, const array& x, const array& y) {
  return mx::where(condition, x, y);
}

array layer_norm(const array& a, const array& weight, const array& bias, float eps) {
  return mx::fast::layer_norm(a, weight, bias, eps);
}

Arrays split_at(const array& a, const Shape& indices, int axis) {
  return mx::split(a, indices, axis);
}

array slice_strided(const array& a, const Shape& start, const Shape& stop, const Shape& strides) {
  require_range(a, start, stop, strides);
  return mx::slice(a, start, stop, strides);
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

// Convolutions: MLX divides by these numbers, and computes lengths in 32 bits.

using Integers = std::vector<int>;

// Numbers that make no difference become small ones: the gradient computes with them as well.
void require_convolution(
    const array& a,
    const array& weight,
    Integers& stride,
    const Integers& padding_lo,
    const Integers& padding_hi,
    Integers& kernel_dilation,
    Integers& input_dilation,
    int groups) {
  if (groups < 1) {
    throw std::invalid_argument("there must be one group or more");
  }
  size_t axes = stride.size();
  if (a.ndim() != axes + 2 || weight.ndim() != axes + 2) {
    throw std::invalid_argument(
        "the array and the weight need " + std::to_string(axes) + " spatial axes, one for each stride, "
        "between their first and their last");
  }
  if (padding_lo.size() != axes || padding_hi.size() != axes || kernel_dilation.size() != axes ||
      input_dilation.size() != axes) {
    throw std::invalid_argument("each list needs a number for each spatial axis");
  }
  if (a.size() == 0 || weight.size() == 0) {
    throw std::invalid_argument("the array and the weight must not be empty");
  }
  // Of what is computed on the way: the array dilated and padded.
  double size = static_cast<double>(a.shape(0)) * a.shape(-1);
  for (size_t i = 0; i < axes; ++i) {
    if (stride[i] < 1 || kernel_dilation[i] < 1 || input_dilation[i] < 1) {
      throw std::invalid_argument("strides and dilations must be 1 or more");
    }
    if (padding_lo[i] < 0 || padding_hi[i] < 0) {
      throw std::invalid_argument("paddings must be 0 or more");
    }
    int64_t length = a.shape(i + 1), kernel = weight.shape(i + 1);
    kernel_dilation[i] = kernel == 1 ? 1 : kernel_dilation[i];
    input_dilation[i] = length == 1 ? 1 : input_dilation[i];
    int64_t padded = int64_t{padding_lo[i]} + padding_hi[i] + (length - 1) * input_dilation[i] + 1;
    int64_t spread = (kernel - 1) * kernel_dilation[i] + 1;
    if (spread > padded) {
      throw std::invalid_argument(
          "along a spatial axis the dilated weight is of length " + std::to_string(spread) +
          " and the padded array of length " + std::to_string(padded));
    }
    stride[i] = static_cast<int>(std::min<int64_t>(stride[i], padded));
    size *= static_cast<double>(padded);
  }
  if (size > std::max(16.0 * (1 << 20), 1024.0 * static_cast<double>(a.size()))) {
    throw std::invalid_argument("the array would be too large with that padding and dilation");
  }
}

// The array with zeros between its entries.
array dilated(array a, const Integers& dilation) {
  for (size_t i = 0; i < dilation.size(); ++i) {
    int axis = static_cast<int>(i) + 1, length = a.shape(axis);
    std::vector<std::pair<int, int>> widths(a.ndim() + 1, {0, 0});
    widths[axis + 1].second = dilation[i] - 1;
    a = mx::flatten(mx::pad(mx::expand_dims(a, axis + 1), widths, array(0, a.dtype())), axis, axis + 1);
    Shape stop = a.shape();
    stop[axis] = (length - 1) * dilation[i] + 1;
    a = mx::slice(a, Shape(a.ndim(), 0), stop);
  }
  return a;
}

array convolved(
    const array& a,
    const array& weight,
    Integers stride,
    const Integers& padding_lo,
    const Integers& padding_hi,
    Integers kernel_dilation,
    Integers input_dilation,
    int groups,
    bool flip) {
  require_convolution(a, weight, stride, padding_lo, padding_hi, kernel_dilation, input_dilation, groups);
  // Padded at the end beyond the weight's reach, a dilated array gets a gradient of the wrong shape from MLX.
  bool beyond = false;
  for (size_t i = 0; i < stride.size(); ++i) {
    int64_t reach = int64_t{kernel_dilation[i]} * (weight.shape(i + 1) - 1);
    beyond |= input_dilation[i] > 1 && padding_hi[i] > reach;
  }
  Integers ones(stride.size(), 1);
  return mx::conv_general(
      beyond ? dilated(a, input_dilation) : a,
      weight,
      stride,
      padding_lo,
      padding_hi,
      kernel_dilation,
      beyond ? ones : input_dilation,
      groups,
      flip);
}

array conv_general(
    const array& a,
    const array& weight,
    const Shape& stride,
    const Shape& padding_lo,
    const Shape& padding_hi,
    const Shape& kernel_dilation,
    const Shape& input_dilation,
    int groups,
    bool flip) {
  auto integers = [](const Shape& shape) { return Integers(shape.begin(), shape.end()); };
  auto strides = integers(stride), lo = integers(padding_lo), hi = integers(padding_hi);
  auto kernel = integers(kernel_dilation), input = integers(input_dilation);
  return convolved(a, weight, strides, lo, hi, kernel, input, groups, flip);
}

array conv(const array& a, const array& weight, Integers stride, Integers padding, Integers dilation, int groups) {
  return convolved(a, weight, stride, padding, padding, dilation, Integers(stride.size(), 1), groups, false);
}

// As MLX defines it: a convolution of the array dilated by the stride.
array conv_transpose(
    const array& a,
    const array& weight,
    Integers stride,
    Integers padding,
    Integers dilation,
    Integers output_padding,
    int groups) {
  size_t axes = stride.size();
  if (a.ndim() != axes + 2 || weight.ndim() != axes + 2) {
    throw std::invalid_argument("the array and the weight need " + std::to_string(axes + 2) + " axes");
  }
  // Padding beyond the weight's reach takes elements off the result.
  Integers lo, hi;
  Shape first(axes + 2, 0), last(axes + 2, 0);
  for (size_t i = 0; i < axes; ++i) {
    if (dilation[i] < 1 || weight.shape(i + 1) < 1) {
      throw std::invalid_argument("dilations and the weight's spatial lengths must be 1 or more");
    }
    int64_t before = int64_t{dilation[i]} * (weight.shape(i + 1) - 1) - padding[i];
    int64_t after = before + output_padding[i];
    if (after > std::numeric_limits<int>::max()) {
      throw std::invalid_argument("the array would be too large with that padding and dilation");
    }
    lo.push_back(static_cast<int>(std::max<int64_t>(before, 0)));
    hi.push_back(static_cast<int>(std::max<int64_t>(after, 0)));
    first[i + 1] = static_cast<int>(std::max<int64_t>(-before, 0));
    last[i + 1] = static_cast<int>(std::max<int64_t>(-after, 0));
  }
  Integers ones(axes, 1);
  auto result = convolved(a, weight, ones, lo, hi, dilation, stride, groups, true);
  Shape stop = result.shape();
  for (size_t i = 1; i <= axes; ++i) {
    stop[i] -= last[i];
    if (stop[i] <= first[i]) {
      throw std::invalid_argument("the padding leaves nothing of the result");
    }
  }
  return first == Shape(axes + 2, 0) && stop == result.shape() ? result : mx::slice(result, first, stop);
}

using Two = std::pair<int, int>;
using Three = std::tuple<int, int, int>;

Integers integers(const Two& two) {
  return {two.first, two.second};
}

Integers integers(const Three& three) {
  return {std::get<0>(three), std::get<1>(three), std::get<2>(three)};
}

array conv1d(const array& a, const array& weight, int stride, int padding, int dilation, int groups) {
  return conv(a, weight, {stride}, {padding}, {dilation}, groups);
}

array conv2d(
    const array& a, const array& weight, const Two& stride, const Two& padding, const Two& dilation, int groups) {
  return conv(a, weight, integers(stride), integers(padding), integers(dilation), groups);
}

array conv3d(
    const array& a, const array& weight, const Three& stride, const Three& padding, const Three& dilation, int groups) {
  return conv(a, weight, integers(stride), integers(padding), integers(dilation), groups);
}

array conv_transpose1d(
    const array& a, const array& weight, int stride, int padding, int dilation, int output_padding, int groups) {
  return conv_transpose(a, weight, {stride}, {padding}, {dilation}, {output_padding}, groups);
}

array conv_transpose2d(
    const array& a,
    const array& weight,
    const Two& stride,
    const Two& padding,
    const Two& dilation,
    const Two& output_padding,
    int groups) {
  return conv_transpose(
      a, weight, integers(stride), integers(padding), integers(dilation), integers(output_padding), groups);
}

array conv_transpose3d(
    const array& a,
    const array& weight,
    const Three& stride,
    const Three& padding,
    const Three& dilation,
    const Three& output_padding,
    int groups) {
  return conv_transpose(
      a, weight, integers(stride), integers(padding), integers(dilation), integers(output_padding), groups);
}

// Quantization, where MLX divides by both numbers.

void require_quantization(int group_size, int bits) {
  if (group_size != 32 && group_size != 64 && group_size != 128) {
    throw std::invalid_argument("the group size must be 32, 64 or 128");
  }
  if (bits < 1 || bits == 7 || bits > 8) {
    throw std::invalid_argument("an element must have 1, 2, 3, 4, 5, 6 or 8 bits");
  }
}

// The parts of a packed matrix, which MLX's kernels trust.
void require_quantized(const array& w, const array& scales, const array& biases, int group_size, int bits) {
  require_quantization(group_size, bits);
  if (w.ndim() < 2 || scales.ndim() != w.ndim() || biases.shape() != scales.shape()) {
    throw std::invalid_argument("the weights, the scales and the biases must be as `quantize` made them");
  }
  for (size_t i = 0; i + 1 < w.ndim(); ++i) {
    if (w.shape(i) != scales.shape(i)) {
      throw std::invalid_argument("the weights and the scales differ in an axis before the last");
    }
  }
  if (int64_t{w.shape(-1)} * 32 != int64_t{scales.shape(-1)} * group_size * bits) {
    throw std::invalid_argument("the weights and the scales differ in how many groups there are");
  }
  if (w.size() == 0) {
    throw std::invalid_argument("the weights are empty");
  }
  if (!issubdtype(scales.dtype(), floating) || scales.dtype() != biases.dtype()) {
    throw std::invalid_argument("the scales and the biases must be of one float dtype");
  }
}

Arrays quantize(const array& w, int group_size, int bits) {
  require_quantization(group_size, bits);
  return mx::quantize(w, group_size, bits);
}

array dequantize(const array& w, const array& scales, const array& biases, int group_size, int bits) {
  require_quantized(w, scales, biases, group_size, bits);
  return mx::dequantize(w, scales, biases, group_size, bits);
}

array quantized_matmul(
    const array& x, const array& w, const array& scales, const array& biases, bool transpose, int group_size, int bits) {
  require_quantized(w, scales, biases, group_size, bits);
  if (x.ndim() < 1 || x.size() == 0) {
    throw std::invalid_argument("the array has no elements along a last axis");
  }
  return mx::quantized_matmul(x, w, scales, biases, transpose, group_size, bits);
}

// Indices of matrices, counted over all axes but the last two.
std::optional<array> of_matrices(const array& a, const std::optional<array>& indices) {
  if (!indices || a.ndim() < 2) {
    return indices;
  }
  int64_t count = 1;
  for (size_t i = 0; i + 2 < a.ndim(); ++i) {
    count *= a.shape(i);
  }
  return in_bounds(*indices, static_cast<int>(count));
}

array gather_mm(
    const array& a, const array& b, const std::optional<array>& lhs_indices, const std::optional<array>& rhs_indices) {
  return mx::gather_mm(a, b, of_matrices(a, lhs_indices), of_matrices(b, rhs_indices));
}

array gather_qmm(
    const array& x,
    const array& w,
    const array& scales,
    const array& biases,
    const std::optional<array>& lhs_indices,
    const std::optional<array>& rhs_indices,
    bool transpose,
    int group_size,
    int bits) {
  require_quantized(w, scales, biases, group_size, bits);
  if (x.ndim() < 2 || x.size() == 0) {
    throw std::invalid_argument("the array is empty or has no matrices");
  }
  return mx::gather_qmm(
      x, w, scales, biases, of_matrices(x, lhs_indices), of_matrices(w, rhs_indices), transpose, group_size, bits);
}

array slice(const array& a, const Shape& start, const Shape& stop) {
  require_range(a, start, stop, Shape(a.ndim(), 1));
  return mx::slice(a, start, stop);
}

array slice_update(const array& a, const array& update, const Shape& start, const Shape& stop) {
  require_range(a, start, stop, Shape(a.ndim(), 1));
  return mx::slice_update(a, update, start, stop);
}

array slice_update_add(const array& a, const array& update, const Shape& start, const Shape& stop) {
  require_range(a, start, stop, Shape(a.ndim(), 1));
  return mx::slice_update_add(a, update, start, stop);
}

array take(const array& a, const array& indices, int axis) {
  return mx::take(a, in_bounds(indices, a.shape(axis_of(a, axis))), axis);
}

array take_along_axis(const array& a, const array& indices, int axis) {
  return mx::take_along_axis(a, in_bounds(indices, a.shape(axis_of(a, axis))), axis);
}

array put_along_axis(const array& a, const array& indices, const array& values, int axis) {
  return mx::put_along_axis(a, in_bounds(indices, a.shape(axis_of(a, axis))), values, axis);
}

array scatter_add_axis(const array& a, const array& indices, const array& values, int axis) {
  return mx::scatter_add_axis(a, in_bounds(indices, a.shape(axis_of(a, axis))), values, axis);
}

array gather(const array& a, const Arrays& indices, const std::vector<int>& axes, const Shape& slice_sizes) {
  return mx::gather(a, in_bounds(a, indices, axes, slice_sizes), axes, slice_sizes);
}

// MLX divides by the size of the updates.
#define SCATTER(name)                                                                                            \
  array name(const array& a, const Arrays& indices, const array& updates, const std::vector<int>& axes) {       \
    auto result = mx::name(a, in_bounds(a, indices, axes, updates), updates, axes);                             \
    return updates.size() == 0 ? mx::copy(a) : result;                                                          \
  }
SCATTER(scatter)
SCATTER(scatter_add)
SCATTER(scatter_prod)
SCATTER(scatter_max)
SCATTER(scatter_min)

namespace random {

using namespace mlx::core::random;

array uniform(const array& low, const array& high, const Shape& shape, Dtype dtype, const array& key) {
  return mx::random::uniform(low, high, shape, dtype, key);
}

array categorical(const array& logits, int axis, int num_samples, const array& key) {
  return mx::random::categorical(logits, axis, num_samples, key);
}

} // namespace random

// Called with the CPU as their device: the factorizations exist there only.
namespace linalg {

using namespace mlx::core::linalg;

// LAPACK answers an empty matrix by ending the process.
const array& not_empty(const array& a) {
  if (a.size() == 0) {
    throw std::invalid_argument("the array is empty");
  }
  return a;
}

// LAPACK's iterations may go on forever over NaN and infinities, so that matrices with such an element are taken for zeros,
// and all that becomes of them is NaN.
struct Finite {
  array matrices;
  array are_finite; // For each matrix, with two axes of length 1.

  explicit Finite(const array& a) : matrices(not_empty(a)), are_finite(array(true)) {
    if (a.ndim() < 2) {
      throw std::invalid_argument("that is no matrix");
    }
    are_finite = mx::all(mx::isfinite(a), Integers{-2, -1}, true);
    matrices = mx::where(are_finite, a, array(0, a.dtype()));
  }

  array of(const array& result) const {
    bool vectors = result.ndim() + 1 == are_finite.ndim();
    auto nan = array(std::nan(""), result.dtype());
    return mx::where(vectors ? mx::squeeze(are_finite, -1) : are_finite, result, nan);
  }

  Arrays of(Arrays results) const {
    for (auto& result : results) {
      result = of(result);
    }
    return results;
  }
};

Arrays svd(const array& a, Device device) {
  Finite finite(a);
  return finite.of(mx::linalg::svd(finite.matrices, true, device));
}

array pinv(const array& a, Device device) {
  Finite finite(a);
  return finite.of(mx::linalg::pinv(finite.matrices, device));
}

Arrays eigh(const array& a, Device device) {
  Finite finite(a);
  return finite.of(list(mx::linalg::eigh(finite.matrices, "L", device)));
}

array eigvalsh(const array& a, Device device) {
  Finite finite(a);
  return finite.of(mx::linalg::eigvalsh(finite.matrices, "L", device));
}

Arrays lu(const array& a, Device device) {
  return mx::linalg::lu(not_empty(a), device);
}

std::pair<array, array> qr(const array& a, Device device) {
  return mx::linalg::qr(not_empty(a), device);
}

array inv(const array& a, Device device) {
  return mx::linalg::inv(not_empty(a), device);
}

array tri_inv(const array& a, bool upper, Device device) {
  return mx::linalg::tri_inv(not_empty(a), upper, device);
}

array cholesky(const array& a, bool upper, Device device) {
  return mx::linalg::cholesky(not_empty(a), upper, device);
}

array cholesky_inv(const array& a, bool upper, Device device) {
  return mx::linalg::cholesky_inv(not_empty(a), upper, device);
}

array det(const array& a, Device device) {
  return mx::linalg::det(not_empty(a), device);
}

std::pair<array, array> slogdet(const array& a, Device device) {
  return mx::linalg::slogdet(not_empty(a), device);
}

array solve(const array& a, const array& b, Device device) {
  return mx::linalg::solve(not_empty(a), not_empty(b), device);
}

array solve_triangular(const array& a, const array& b, bool upper, Device device) {
  return mx::linalg::solve_triangular(not_empty(a), not_empty(b), upper, device);
}

// These two exist everywhere.

array norm(const array& a, const std::vector<int>& axes, bool keepdims, Device) {
  return mx::linalg::norm(a, axes, keepdims);
}

array cross(const array& a, const array& b, int axis, Device) {
  return mx::linalg::cross(a, b, axis);
}

} // namespace linalg

namespace fast {

using namespace mlx::core::fast;

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
