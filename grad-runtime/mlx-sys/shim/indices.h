// Operations that take indices and ranges, with their bounds checked.
#pragma once

#include <cstdint>

#include "axes.h"
#include "convert.h"

namespace {

// Returns indices of slices of length `size` along an axis of length `length`, in bounds; MLX would use them unchecked.
// Indices that are computed are checked; others are clamped, as in JAX. Those of other integer dtypes than int32 and uint32, for
// which MLX lacks some kernels, become int32.
array in_bounds(const array& indices, int length, int size = 1) {
  if (!mx::issubdtype(indices.dtype(), mx::integer)) {
    throw std::invalid_argument("the indices are not integers; convert them with `astype`");
  }
  bool has_kernels = indices.dtype() == mx::int32 || indices.dtype() == mx::uint32;
  if (size > length && indices.size() > 0) {
    throw std::out_of_range(
        size == 1 ? "the axis is empty, so no index is in bounds"
                  : "a slice of length " + std::to_string(size) + " is longer than its axis, of length " +
                        std::to_string(length));
  }
  int last = length - size;
  if (!indices.is_available() || indices.is_tracer()) {
    // Clamped before they are converted, since a large uint32 would be a negative int32; in 32 bits at least, to hold the bounds.
    auto dtype = has_kernels ? indices.dtype() : mx::promote_types(indices.dtype(), mx::uint32);
    auto clamped = mx::clip(mx::astype(indices, dtype), array(0, dtype), array(last, dtype));
    return has_kernels ? clamped : mx::astype(clamped, mx::int32);
  }
  // Contiguous indices are read in place: a copy by MLX would wait for the device.
  array row = has_kernels ? indices : mx::astype(indices, mx::int64);
  row = row.flags().row_contiguous && row.is_available() ? row : mx::contiguous(row);
  row.eval();
  for (size_t i = 0; i < row.size(); ++i) {
    int64_t at = row.dtype() == mx::int64    ? row.data<int64_t>()[i]
                 : row.dtype() == mx::uint32 ? int64_t{row.data<uint32_t>()[i]}
                                             : int64_t{row.data<int32_t>()[i]};
    if (at < 0 || at > last) {
      throw std::out_of_range(
          "index " + std::to_string(at) + " is out of bounds for an axis of length " + std::to_string(length));
    }
  }
  return has_kernels ? indices : mx::astype(row, mx::int32);
}

Arrays in_bounds(const array& a, const Arrays& indices, const std::vector<int>& axes, const mx::Shape& sizes) {
  if (indices.size() != axes.size() || sizes.size() != a.ndim()) {
    throw std::invalid_argument(
        "there must be an array of indices for each of `axes`, and a slice size for each axis of the array");
  }
  Arrays all;
  for (size_t i = 0; i < axes.size(); ++i) {
    int axis = axis_of(a, axes[i]);
    all.push_back(in_bounds(indices[i], a.shape(axis), sizes[axis]));
  }
  return all;
}

// The same for updates, whose last axes have the lengths of a slice.
Arrays in_bounds(const array& a, const Arrays& indices, const std::vector<int>& axes, const array& updates) {
  if (updates.ndim() < a.ndim()) {
    throw std::invalid_argument(
        "the updates have too few axes; they need those of the indices, followed by those of a slice");
  }
  return in_bounds(a, indices, axes, mx::Shape(updates.shape().end() - a.ndim(), updates.shape().end()));
}

std::string shape_text(const mx::Shape& numbers) {
  std::string all;
  for (int number : numbers) {
    all += (all.empty() ? "" : ", ") + std::to_string(number);
  }
  return "[" + all + "]";
}

// Requires a range within each axis; MLX would clamp it.
void require_range(const array& a, const mx::Shape& start, const mx::Shape& stop, const mx::Shape& strides) {
  bool fits = start.size() == a.ndim() && stop.size() == a.ndim() && strides.size() == a.ndim();
  for (size_t i = 0; fits && i < a.ndim(); ++i) {
    fits = 0 <= start[i] && start[i] <= stop[i] && stop[i] <= a.shape(i) && strides[i] > 0;
  }
  if (!fits) {
    throw std::invalid_argument(
        shape_text(start) + ".." + shape_text(stop) + " by " + shape_text(strides) +
        " is not a range within each axis; give for each axis a start, a stop from there up to its length, and a "
        "stride of at least 1");
  }
}

} // namespace

namespace ops {

using namespace mlx::core;

array slice_strided(const array& a, const Shape& start, const Shape& stop, const Shape& strides) {
  require_range(a, start, stop, strides);
  return mx::slice(a, start, stop, strides);
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

// Returns a copy for empty updates, by whose size MLX would divide.
#define SCATTER(name)                                                                                     \
  array name(const array& a, const Arrays& indices, const array& updates, const std::vector<int>& axes) { \
    auto result = mx::name(a, in_bounds(a, indices, axes, updates), updates, axes);                       \
    return updates.size() == 0 ? mx::copy(a) : result;                                                    \
  }
SCATTER(scatter)
SCATTER(scatter_add)
SCATTER(scatter_prod)
SCATTER(scatter_max)
SCATTER(scatter_min)

} // namespace ops
