// What every part of the shim stands on: how arrays, numbers and failures cross to Rust.
#pragma once

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mlx/mlx.h"
#include "mlx/primitives.h"
#include "mlx/scheduler.h"

#define API extern "C" __attribute__((visibility("default")))

namespace mx = mlx::core;
using mx::array;
using Arrays = std::vector<array>;

// Borrowed lists, as ffi/arguments.rs lays them out.
struct Numbers {
  const int32_t* data;
  size_t count;
};
struct List {
  const array* const* data;
  size_t count;
};
struct Text {
  const char* data;
  size_t size;
};
struct Pair {
  int32_t values[2];
};
struct Triple {
  int32_t values[3];
};

namespace {

// A plain buffer: nothing destroys it while its thread ends. A longer message is cut.
thread_local char last_error[2048];

void keep_error(const char* message) noexcept {
  std::strncpy(last_error, message, sizeof(last_error) - 1);
}

// Thrown through MLX when a Rust function inside a transform failed; Rust keeps the reason.
struct RustFailed {};

// Runs `f`; on an exception keeps its message and returns the "failed" value.
template <typename F, typename R>
R guarded(R failed, F&& f) noexcept {
  try {
    return f();
  } catch (const RustFailed&) {
    keep_error("the function inside the transform failed");
  } catch (const std::exception& e) {
    keep_error(e.what());
  } catch (...) {
    keep_error("an exception that is not a std::exception");
  }
  return failed;
}

// MLX looks for failures of what is being computed whenever the thread that it was first used on adds more, and does not
// count on to throw there: it loses track of its tasks, and after some failures waits forever for them. So the first thread
// is one that never computes; it stays, so that no other gets its id.
void use_mlx_elsewhere_first() {
  // Never destroyed, since the thread waits on them for good.
  static auto& mutex = *new std::mutex();
  static auto& changed = *new std::condition_variable();
  static bool ready = false;
  static const bool done = [] {
    std::thread([] {
      mx::scheduler::scheduler();
      std::unique_lock lock(mutex);
      ready = true;
      changed.notify_all();
      changed.wait(lock, [] { return false; });
    }).detach();
    std::unique_lock lock(mutex);
    changed.wait(lock, [] { return ready; });
    return true;
  }();
  static_cast<void>(done);
}

// The dtypes of grad_runtime::Dtype, in its order.
const mx::Dtype dtypes[] = {mx::float32, mx::float16, mx::bfloat16, mx::int32, mx::uint32, mx::bool_};
constexpr int dtype_count = sizeof(dtypes) / sizeof(dtypes[0]);

// The number of a dtype in that order, or -1 for one that grad_runtime::Dtype does not have.
int number_of(const mx::Dtype& dtype) {
  for (int i = 0; i < dtype_count; ++i) {
    if (dtypes[i] == dtype) {
      return i;
    }
  }
  return -1;
}

// Every array that Rust gets passes here.
const array& checked(const array& result) {
  if (number_of(result.dtype()) < 0) {
    throw std::invalid_argument(
        "the result would be neither float32, float16, bfloat16, int32, uint32 nor bool: "
        "convert the operands with `astype` first");
  }
  // MLX multiplies lengths unchecked.
  int64_t size = 1;
  bool fits = true;
  for (int length : result.shape()) {
    fits &= length >= 0 && !__builtin_mul_overflow(size, length, &size);
  }
  if (!fits || size > (int64_t{1} << 48)) {
    throw std::length_error("the result would be too large");
  }
  return result;
}

// An empty array is made anew, where it was computed: MLX's reductions read the strides of one that was transposed, which
// has none that count. It carries no gradient.
array plain(array result) {
  checked(result);
  if (result.size() == 0 && result.has_primitive()) {
    return mx::zeros(result.shape(), result.dtype());
  }
  return result;
}

template <typename F>
array* made(F&& f) noexcept {
  return guarded(static_cast<array*>(nullptr), [&] { return new array(plain(f())); });
}

Arrays list(Arrays arrays) {
  return arrays;
}
Arrays list(std::pair<array, array> arrays) {
  return {std::move(arrays.first), std::move(arrays.second)};
}

template <typename F>
Arrays* made_list(F&& f) noexcept {
  return guarded(static_cast<Arrays*>(nullptr), [&] {
    Arrays results = list(f());
    for (auto& result : results) {
      result = plain(std::move(result));
    }
    return new Arrays(std::move(results));
  });
}

mx::Shape to_shape(Numbers numbers) {
  return mx::Shape(numbers.data, numbers.data + numbers.count);
}

std::vector<int> to_integers(Numbers numbers) {
  return std::vector<int>(numbers.data, numbers.data + numbers.count);
}

std::vector<std::pair<int, int>> to_pairs(Numbers numbers) {
  std::vector<std::pair<int, int>> all;
  for (size_t i = 0; i + 1 < numbers.count; i += 2) {
    all.emplace_back(numbers.data[i], numbers.data[i + 1]);
  }
  return all;
}

std::pair<int, int> to_pair(Pair pair) {
  return {pair.values[0], pair.values[1]};
}

std::tuple<int, int, int> to_triple(Triple triple) {
  return {triple.values[0], triple.values[1], triple.values[2]};
}

Arrays to_arrays(List list) {
  Arrays all;
  all.reserve(list.count);
  for (size_t i = 0; i < list.count; ++i) {
    all.push_back(*list.data[i]);
  }
  return all;
}

std::string to_text(Text text) {
  return std::string(text.data, text.size);
}

template <typename T>
std::optional<T> to_optional(const T* value) {
  return value ? std::make_optional(*value) : std::nullopt;
}

} // namespace
