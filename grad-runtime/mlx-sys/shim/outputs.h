// Results of MLX as Rust takes them.
#pragma once

#include <memory>
#include <stdexcept>
#include <utility>

#include "convert.h"
#include "errors.h"

namespace {

// MLX multiplies lengths unchecked.
void require_size(const array& result) {
  int64_t size = 1;
  bool fits = true;
  for (int length : result.shape()) {
    fits &= length >= 0 && !__builtin_mul_overflow(size, length, &size);
  }
  if (!fits || size > (int64_t{1} << 48)) {
    throw std::length_error("the result would be too large");
  }
}

// Every array that Rust receives passes here. One that an operation computes and that is empty is replaced by a new one: MLX's
// reductions read the strides of an empty array, which a transposition leaves meaningless. A new array carries no gradient.
void finish(array& result) {
  require_size(result);
  if (result.size() == 0 && result.has_primitive()) {
    result = mx::zeros(result.shape(), result.dtype());
  }
}

template <typename F>
array* return_array(F&& f) noexcept {
  return try_or(static_cast<array*>(nullptr), [&] {
    // Constructed in place, since a move costs as much as the checks.
    std::unique_ptr<array> result(new array(f()));
    finish(*result);
    return result.release();
  });
}

Arrays to_list(Arrays arrays) {
  return arrays;
}
Arrays to_list(std::pair<array, array> arrays) {
  return {std::move(arrays.first), std::move(arrays.second)};
}

template <typename F>
Arrays* return_arrays(F&& f) noexcept {
  return try_or(static_cast<Arrays*>(nullptr), [&] {
    Arrays results = to_list(f());
    for (auto& result : results) {
      finish(result);
    }
    return new Arrays(std::move(results));
  });
}

} // namespace
