// Linear algebra, called with the CPU as the device: the factorizations exist there only.
#pragma once

#include <cmath>

#include "base.h"

namespace ops {

using namespace mlx::core;

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
    are_finite = mx::all(mx::isfinite(a), std::vector<int>{-2, -1}, true);
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

} // namespace ops
