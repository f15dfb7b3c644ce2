// Sizes of results, which MLX computes unchecked.
#pragma once

#include <bit>
#include <stdexcept>

#include "mlx/mlx.h"

namespace {

constexpr int MOST_BITS = 48;

// Returns whether it is certain that no more elements than that have `ndim` lengths of which `bits` is the union, if none is
// negative: no length has more bits than their union.
[[gnu::always_inline]] inline bool fits(size_t bits, size_t ndim) {
  return static_cast<unsigned>(std::bit_width(bits | 1)) * ndim <= MOST_BITS;
}

// MLX multiplies lengths unchecked.
void require_size(const mlx::core::array& result) {
  int64_t size = 1;
  bool fits = true;
  for (int length : result.shape()) {
    fits &= length >= 0 && !__builtin_mul_overflow(size, length, &size);
  }
  if (!fits || size > int64_t{1} << MOST_BITS) {
    throw std::length_error("the result would be too large");
  }
}

// What an operation returns, an array or a list, if none of it has more elements than an operand: only whether it is empty is
// left to be checked.
template <typename T>
struct NoLarger {
  T result;
};

template <typename T>
constexpr bool is_no_larger = false;
template <typename T>
constexpr bool is_no_larger<NoLarger<T>> = true;

} // namespace
