// The operations of ops.rs: `ops::NAME` is what Rust's NAME calls. Most are MLX's own; defined here are those that MLX's C++
// interface lacks or has under overloads, and those that would read or write out of bounds.
#pragma once

#include <cmath>

#include "base.h"
#include "gelu.h"
#include "mlx/backend/cuda/cuda.h"

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
  // Those that lie in a row are read where they lie: MLX's copy would wait for the device.
  array row = indices.flags().row_contiguous ? indices : mx::contiguous(indices);
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

array slice_strided(const array& a, const Shape& start, const Shape& stop, const Shape& strides) {
  require_range(a, start, stop, strides);
  return mx::slice(a, start, stop, strides);
}

array tile(const array& a, const Shape& repetitions) {
  return mx::tile(a, std::vector<int>(repetitions.begin(), repetitions.end()));
}

Arrays quantize(const array& w, int group_size, int bits) {
  return mx::quantize(w, group_size, bits);
}

array dequantize(const array& w, const array& scales, const array& biases, int group_size, int bits) {
  return mx::dequantize(w, scales, biases, group_size, bits);
}

array quantized_matmul(
    const array& x, const array& w, const array& scales, const array& biases, bool transpose, int group_size, int bits) {
  return mx::quantized_matmul(x, w, scales, biases, transpose, group_size, bits);
}

// What MLX would do unchecked.

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

#define SCATTER(name)                                                                                            \
  array name(const array& a, const Arrays& indices, const array& updates, const std::vector<int>& axes) {       \
    return mx::name(a, in_bounds(a, indices, axes, updates), updates, axes);                                    \
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

Arrays svd(const array& a, Device device) {
  return mx::linalg::svd(a, true, device);
}

Arrays eigh(const array& a, Device device) {
  return list(mx::linalg::eigh(a, "L", device));
}

array eigvalsh(const array& a, Device device) {
  return mx::linalg::eigvalsh(a, "L", device);
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

} // namespace fast

} // namespace ops

#include "ops.inc"
