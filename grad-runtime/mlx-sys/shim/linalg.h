// Linear algebra. MLX has the factorizations on the CPU only.
#pragma once

#include <cmath>

#include "accumulation.h"
#include "convert.h"
#include "outputs.h"

namespace ops {

using namespace mlx::core;

namespace linalg {

using namespace mlx::core::linalg;

// LAPACK ends the process where a matrix is empty.
const array& require_elements(const array& a) {
  if (a.size() == 0) {
    throw std::invalid_argument("the array is empty");
  }
  return a;
}

// LAPACK's iterations may never end on NaN and infinities. So matrices with such an element are replaced by zeros, and their
// results by NaN.
struct FiniteMatrices {
  array matrices;
  array are_finite; // One bool for each matrix; the last two axes have length 1.

  explicit FiniteMatrices(const array& a) : matrices(require_elements(a)), are_finite(array(true)) {
    if (a.ndim() < 2) {
      throw std::invalid_argument("the array has fewer than 2 axes, and is not a matrix");
    }
    are_finite = mx::all(mx::isfinite(a), std::vector<int>{-2, -1}, true);
    matrices = mx::where(are_finite, a, array(0, a.dtype()));
  }

  array mask(const array& result) const {
    bool vectors = result.ndim() + 1 == are_finite.ndim();
    auto nan = array(std::nan(""), result.dtype());
    return mx::where(vectors ? mx::squeeze(are_finite, -1) : are_finite, result, nan);
  }

  Arrays mask(Arrays results) const {
    for (auto& result : results) {
      result = mask(result);
    }
    return results;
  }
};

Arrays svd(const array& a) {
  FiniteMatrices finite(a);
  return finite.mask(mx::linalg::svd(finite.matrices, true, Device::cpu));
}

array pinv(const array& a) {
  FiniteMatrices finite(a);
  return finite.mask(mx::linalg::pinv(finite.matrices, Device::cpu));
}

Arrays eigh(const array& a) {
  FiniteMatrices finite(a);
  return finite.mask(to_list(mx::linalg::eigh(finite.matrices, "L", Device::cpu)));
}

array eigvalsh(const array& a) {
  FiniteMatrices finite(a);
  return finite.mask(mx::linalg::eigvalsh(finite.matrices, "L", Device::cpu));
}

std::pair<array, array> eig(const array& a) {
  FiniteMatrices finite(a);
  auto [values, vectors] = mx::linalg::eig(finite.matrices, Device::cpu);
  return {finite.mask(values), finite.mask(vectors)};
}

array eigvals(const array& a) {
  FiniteMatrices finite(a);
  return finite.mask(mx::linalg::eigvals(finite.matrices, Device::cpu));
}

std::pair<array, array> lu_factor(const array& a) {
  return mx::linalg::lu_factor(require_elements(a), Device::cpu);
}

Arrays lu(const array& a) {
  return mx::linalg::lu(require_elements(a), Device::cpu);
}

std::pair<array, array> qr(const array& a) {
  return mx::linalg::qr(require_elements(a), Device::cpu);
}

array inv(const array& a) {
  return mx::linalg::inv(require_elements(a), Device::cpu);
}

array tri_inv(const array& a, bool upper) {
  return mx::linalg::tri_inv(require_elements(a), upper, Device::cpu);
}

array cholesky(const array& a, bool upper) {
  return mx::linalg::cholesky(require_elements(a), upper, Device::cpu);
}

array cholesky_inv(const array& a, bool upper) {
  return mx::linalg::cholesky_inv(require_elements(a), upper, Device::cpu);
}

array det(const array& a) {
  return mx::linalg::det(require_elements(a), Device::cpu);
}

std::pair<array, array> slogdet(const array& a) {
  return mx::linalg::slogdet(require_elements(a), Device::cpu);
}

array solve(const array& a, const array& b) {
  return mx::linalg::solve(require_elements(a), require_elements(b), Device::cpu);
}

array solve_triangular(const array& a, const array& b, bool upper) {
  return mx::linalg::solve_triangular(require_elements(a), require_elements(b), upper, Device::cpu);
}

// MLX has these two on every device.

array norm(const array& a, const std::vector<int>& axes, bool keepdims) {
  return in_float32(a, [&](const array& x) { return mx::linalg::norm(x, axes, keepdims); });
}

array cross(const array& a, const array& b, int axis) {
  return mx::linalg::cross(a, b, axis);
}

} // namespace linalg

} // namespace ops
