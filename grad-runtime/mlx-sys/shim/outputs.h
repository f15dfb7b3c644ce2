// Results of MLX as Rust takes them.
#pragma once

#include <bit>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "convert.h"
#include "errors.h"

namespace {

constexpr int64_t MOST_ELEMENTS = int64_t{1} << 48;

// MLX multiplies lengths unchecked.
void require_size(const array& result) {
  int64_t size = 1;
  bool fits = true;
  for (int length : result.shape()) {
    fits &= length >= 0 && !__builtin_mul_overflow(size, length, &size);
  }
  if (!fits || size > MOST_ELEMENTS) {
    throw std::length_error("the result would be too large");
  }
}

// Every array that Rust receives passes here. One that an operation computes and that is empty is replaced by a new one: MLX's
// reductions read the strides of an empty array, which a transposition leaves meaningless. A new array carries no gradient.
[[gnu::cold, gnu::noinline]] void finish(array& result) {
  require_size(result);
  if (result.size() == 0 && result.has_primitive()) {
    result = mx::zeros(result.shape(), result.dtype());
  }
}

// Returns whether it is certain that `finish` leaves the array as it is, as it does all but few.
[[gnu::always_inline]] inline bool is_finished(const array& result) {
  const auto& shape = result.shape();
  unsigned bits = 0;
  for (int length : shape) {
    bits |= static_cast<unsigned>(length);
  }
  // No length has more bits than their union. A negative one has 32: too many for two axes, and for one its size is negative.
  return static_cast<size_t>(std::bit_width(bits | 1)) * shape.size() <= 48 && static_cast<int64_t>(result.size()) > 0;
}

[[gnu::cold, gnu::noinline]] bool finish_or_destroy(array& result) noexcept {
  bool is_finished = succeeds([&] { finish(result); });
  if (!is_finished) {
    result.~array();
  }
  return is_finished;
}

// Not inlined, so that the function of an operation ends in a jump.
[[gnu::noinline]] bool finish_in_place(array* result) noexcept {
  return is_finished(*result) || finish_or_destroy(*result);
}

// Constructs the array that `f` returns at `output`, and returns whether that succeeded. No move: the result of a call is
// constructed where it goes.
template <typename F>
bool return_array(array* output, F&& f) noexcept {
  try {
    new (output) array(f());
  } catch (...) {
    store_exception();
    return false;
  }
  return finish_in_place(output);
}

// The memory of a list whose arrays have been moved by their bytes, as Rust moves them: frees it and destroys no array.
union MovedList {
  explicit MovedList(Arrays&& list) : arrays(std::move(list)) {}
  ~MovedList() {
    if (arrays.capacity() > 0) {
      std::allocator<array>().deallocate(arrays.data(), arrays.capacity());
    }
  }

  Arrays arrays;
};

void move_to(array* output, Arrays&& list) noexcept {
  MovedList moved(std::move(list));
  std::memcpy(static_cast<void*>(output), moved.arrays.data(), moved.arrays.size() * sizeof(array));
}

Arrays to_list(Arrays arrays) {
  return arrays;
}
Arrays to_list(std::pair<array, array> arrays) {
  return {std::move(arrays.first), std::move(arrays.second)};
}

void finish_all(Arrays& results) {
  for (auto& result : results) {
    if (!is_finished(result)) {
      finish(result);
    }
  }
}

void move_to_rust(abi::ArrayVec output, Arrays&& results) {
  finish_all(results);
  array* first = output.reserve(output.list, results.size());
  if (!first) {
    throw std::bad_alloc();
  }
  move_to(first, std::move(results));
}

template <size_t N>
void move_to_rust(array* output, Arrays&& results) {
  finish_all(results);
  if (results.size() != N) {
    throw std::logic_error(
        "the operation returned " + std::to_string(results.size()) + " arrays, not " + std::to_string(N));
  }
  move_to(output, std::move(results));
}

// Constructs the arrays that `f` returns in a list of Rust.
template <typename F>
bool return_list(abi::ArrayVec output, F&& f) noexcept {
  return succeeds([&] { move_to_rust(output, to_list(f())); });
}

// Constructs the arrays that `f` returns, of which there must be `N`, from `output` on.
template <size_t N, typename F>
bool return_arrays(array* output, F&& f) noexcept {
  return succeeds([&] { move_to_rust<N>(output, to_list(f())); });
}

} // namespace
