// Quantized matrices. MLX divides by the numbers it is given, and does not check shapes and indices.
#pragma once

#include "convert.h"
#include "indices.h"

namespace ops {

using namespace mlx::core;

void require_quantization(int group_size, int bits) {
  if (group_size != 32 && group_size != 64 && group_size != 128) {
    throw std::invalid_argument("the group size is " + std::to_string(group_size) + "; give 32, 64 or 128");
  }
  if (bits < 1 || bits == 7 || bits > 8) {
    throw std::invalid_argument("an element has " + std::to_string(bits) + " bits; give 1, 2, 3, 4, 5, 6 or 8");
  }
}

// Checks the parts of a quantized matrix, which MLX's kernels do not.
void require_quantized(const array& w, const array& scales, const array& biases, int group_size, int bits) {
  require_quantization(group_size, bits);
  if (w.ndim() < 2 || scales.ndim() != w.ndim() || biases.shape() != scales.shape()) {
    throw std::invalid_argument("the shapes of the weights, scales and biases are not those that `quantize` returns");
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
    throw std::invalid_argument("the scales and the biases are not of one float dtype");
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
    const array& x,
    const array& w,
    const array& scales,
    const array& biases,
    bool transpose,
    int group_size,
    int bits) {
  require_quantized(w, scales, biases, group_size, bits);
  if (x.ndim() < 1 || x.size() == 0) {
    throw std::invalid_argument("the array is empty or a scalar");
  }
  return mx::quantized_matmul(x, w, scales, biases, transpose, group_size, bits);
}

// Returns indices of matrices, counted over all axes but the last two, in bounds.
std::optional<array> matrix_indices(const array& a, const std::optional<array>& indices) {
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
  return mx::gather_mm(a, b, matrix_indices(a, lhs_indices), matrix_indices(b, rhs_indices));
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
    throw std::invalid_argument("the array is empty or has fewer than 2 axes");
  }
  return mx::gather_qmm(
      x,
      w,
      scales,
      biases,
      matrix_indices(x, lhs_indices),
      matrix_indices(w, rhs_indices),
      transpose,
      group_size,
      bits);
}

} // namespace ops
