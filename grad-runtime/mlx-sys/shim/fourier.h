// Fast Fourier transforms. MLX's C++ interface has an overload with lengths and one without.
#pragma once

#include <optional>
#include <vector>

#include "axes.h"
#include "convert.h"

namespace {

// Returns the lengths that a transform has along `axes`, where none are given. That to real numbers has twice the last but 2.
mx::Shape lengths_along(const array& a, const std::vector<int>& axes, bool to_real) {
  mx::Shape lengths;
  for (int axis : axes) {
    lengths.push_back(a.shape(axis_of(a, axis)));
  }
  if (to_real && !lengths.empty()) {
    lengths.back() = 2 * (lengths.back() - 1);
  }
  return lengths;
}

// Requires what MLX assumes: an axis at least, since without any it returns another dtype, and lengths of 1 or more.
const mx::Shape& require_lengths(const mx::Shape& lengths) {
  if (lengths.empty()) {
    throw std::invalid_argument("there are no axes; give at least one");
  }
  for (int length : lengths) {
    if (length < 1) {
      throw std::invalid_argument("a transform of length " + std::to_string(length) + " is not defined; give 1 or more");
    }
  }
  return lengths;
}

} // namespace

namespace ops::fft {

using namespace mlx::core::fft;

#define TRANSFORM(name, n_dimensional, to_real)                                                                  \
  array name(const array& a, const std::optional<mx::Shape>& s, const std::vector<int>& axes, FFTNorm norm) {    \
    auto lengths = s ? *s : lengths_along(a, axes, to_real);                                                     \
    return mx::fft::n_dimensional(a, require_lengths(lengths), axes, norm);                                      \
  }
TRANSFORM(fftn, fftn, false)
TRANSFORM(ifftn, ifftn, false)
TRANSFORM(rfftn, rfftn, false)
TRANSFORM(irfftn, irfftn, true)
TRANSFORM(fft2, fftn, false)
TRANSFORM(ifft2, ifftn, false)
TRANSFORM(rfft2, rfftn, false)
TRANSFORM(irfft2, irfftn, true)
#undef TRANSFORM

#define TRANSFORM(name)                                                                 \
  array name(const array& a, const std::optional<int>& n, int axis, FFTNorm norm) {     \
    auto lengths = n ? std::make_optional(mx::Shape{*n}) : std::nullopt;                \
    return name##n(a, lengths, {axis}, norm);                                           \
  }
TRANSFORM(fft)
TRANSFORM(ifft)
TRANSFORM(rfft)
TRANSFORM(irfft)
#undef TRANSFORM

} // namespace ops::fft
