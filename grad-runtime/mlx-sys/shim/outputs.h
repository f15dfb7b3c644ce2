// Results of MLX as Rust takes them.
#pragma once

#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "convert.h"
#include "errors.h"
#include "sizes.h"

namespace {

// Every array that Rust receives passes here. One that an operation computes and that is empty is replaced by a new one: MLX's
// reductions read the strides of an empty array, which a transposition leaves meaningless. A new array carries no gradient.
[[gnu::cold, gnu::noinline]] void finish(array& result) {
  require_size(result);
  if (result.size() == 0 && result.has_primitive()) {
    result = mx::zeros(result.shape(), result.dtype());
  }
}

// Returns whether it is certain that `finish` leaves the array as it is, as it does all but few. `Result` is what the operation
// returns.
template <typename Result>
[[gnu::always_inline]] inline bool is_finished(const array& result) {
  if constexpr (!is_no_larger<Result>) {
    unsigned bits = 0;
    for (int length : result.shape()) {
      bits |= static_cast<unsigned>(length);
    }
    // A negative length has 32 bits: too many for two axes, and for one its size is negative.
    if (!fits(bits, result.ndim())) {
      return false;
    }
  }
  return static_cast<int64_t>(result.size()) > 0;
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
  return is_finished<array>(*result) || finish_or_destroy(*result);
}

// Constructs the array that `f` returns at `output`, and returns whether that succeeded. No move: the result of a call is
// constructed where it goes.
template <typename F>
bool return_array(array* output, F&& f) noexcept {
  using Result = std::invoke_result_t<F>;
  static_assert(sizeof(Result) == sizeof(array));
  try {
    new (output) Result(f());
  } catch (...) {
    store_exception();
    return false;
  }
  if constexpr (is_no_larger<Result>) {
    return is_finished<Result>(*output) || finish_or_destroy(*output);
  } else {
    return finish_in_place(output);
  }
}

Arrays to_list(std::pair<array, array> arrays) {
  return {std::move(arrays.first), std::move(arrays.second)};
}

// Returns the list that `f` returns, in place.
template <typename F>
auto list_of(F& f) {
  using Result = std::invoke_result_t<F&>;
  if constexpr (std::is_same_v<Result, Arrays> || is_no_larger<Result>) {
    return f();
  } else {
    return to_list(f());
  }
}

// The list that an operation returns. No destructor runs: its arrays are moved by their bytes, as Rust moves them.
template <typename F>
union MovedList {
  explicit MovedList(F& f) : list(list_of(f)) {}
  ~MovedList() {}

  Arrays& arrays() {
    if constexpr (is_no_larger<decltype(list)>) {
      return list.result;
    } else {
      return list;
    }
  }

  decltype(list_of(std::declval<F&>())) list;
};

// Constructs the arrays that `f` returns from where `place` says for their number.
template <typename F, typename Place>
bool return_moved(F& f, Place&& place) noexcept {
  return succeeds([&] {
    MovedList<F> list(f);
    Arrays& results = list.arrays();
    try {
      for (auto& result : results) {
        if (!is_finished<std::invoke_result_t<F&>>(result)) {
          finish(result);
        }
      }
      array* first = place(results.size());
      // An empty list has no elements to point to, and `memcpy` accepts no null pointer.
      if (!results.empty()) {
        std::memcpy(static_cast<void*>(first), results.data(), results.size() * sizeof(array));
      }
    } catch (...) {
      results.~Arrays();
      throw;
    }
    if (results.capacity() > 0) {
      std::allocator<array>().deallocate(results.data(), results.capacity());
    }
  });
}

// Constructs the arrays that `f` returns in a list of Rust.
template <typename F>
bool return_list(abi::ArrayVec output, F&& f) noexcept {
  return return_moved(f, [&](size_t size) {
    array* first = output.reserve(output.list, size);
    if (!first) {
      throw std::bad_alloc();
    }
    return first;
  });
}

// Constructs the arrays that `f` returns, of which there must be `N`, from `output` on.
template <size_t N, typename F>
bool return_arrays(array* output, F&& f) noexcept {
  return return_moved(f, [&](size_t size) {
    if (size != N) {
      throw std::logic_error(
          "the operation returned " + std::to_string(size) + " arrays, not " + std::to_string(N));
    }
    return output;
  });
}

} // namespace
