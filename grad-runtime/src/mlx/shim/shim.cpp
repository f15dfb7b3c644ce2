// A plain C interface to MLX's C++ one, for mlx/ffi.rs. Three rules hold throughout:
//   - an array crosses as a pointer to a heap-allocated mlx::core::array that the receiver owns;
//   - no exception leaves: a function that fails returns null (or false) and keeps the message for grad_mlx_error();
//   - nothing is decided here that Rust can decide: this file translates.

#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "mlx/mlx.h"
#include "mlx/primitives.h"
#include "mlx/version.h"

#define API extern "C" __attribute__((visibility("default")))

namespace mx = mlx::core;
using mx::array;

namespace {

// A plain buffer: nothing destroys it while its thread ends. A longer message is cut.
thread_local char last_error[2048];

void keep_error(const char* message) noexcept {
  std::strncpy(last_error, message, sizeof(last_error) - 1);
}

// Thrown through MLX when the Rust function inside a transform failed; Rust keeps the reason.
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

// Every array that Rust gets is made here.
template <typename F>
array* made(F&& f) noexcept {
  return guarded(static_cast<array*>(nullptr), [&] {
    array result = f();
    if (number_of(result.dtype()) < 0) {
      throw std::invalid_argument(
          "the result would be neither float32, float16, bfloat16, int32, uint32 nor bool: "
          "convert the operands with `astype` first");
    }
    return new array(std::move(result));
  });
}

mx::Shape shape_of(const int32_t* values, size_t count) {
  return mx::Shape(values, values + count);
}

std::vector<array> copies(const array* const* arrays, size_t count) {
  std::vector<array> all;
  all.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    all.push_back(*arrays[i]);
  }
  return all;
}

// A device as Rust numbers it: 0 is the CPU, 1 the GPU.
mx::Device device(int number) {
  return number == 0 ? mx::Device::cpu : mx::Device::gpu;
}

// What MLX's C++ interface does not name, by the definitions of its Python one.
array relu(const array& a) {
  return mx::maximum(a, array(0, a.dtype()));
}

array gelu(const array& integers_too) {
  bool inexact = mx::issubdtype(integers_too.dtype(), mx::inexact);
  array a = inexact ? integers_too : mx::astype(integers_too, mx::float32);
  auto constant = [&](double x) { return array(x, a.dtype()); };
  auto cdf = mx::erf(mx::divide(a, constant(std::sqrt(2.0))));
  return mx::divide(mx::multiply(a, mx::add(constant(1), cdf)), constant(2));
}

// Indices that MLX would read unchecked: those already computed are checked, others are clamped, as in JAX.
array in_bounds(const array& indices, int size) {
  if (size == 0 && indices.size() > 0) {
    throw std::out_of_range("the axis is empty, so there is nothing to take");
  }
  if (!indices.is_available() || indices.is_tracer()) {
    // In their own dtype: a large uint32 is a negative int32.
    return mx::clip(indices, array(0, indices.dtype()), array(size - 1, indices.dtype()));
  }
  auto row = mx::contiguous(indices);
  row.eval();
  for (size_t i = 0; i < row.size(); ++i) {
    int64_t at = row.dtype() == mx::uint32 ? int64_t{row.data<uint32_t>()[i]} : int64_t{row.data<int32_t>()[i]};
    if (at < 0 || at >= size) {
      throw std::out_of_range(
          "index " + std::to_string(at) + " is out of bounds for an axis of length " + std::to_string(size));
    }
  }
  return indices;
}

} // namespace

// The library itself

API const char* grad_mlx_error() noexcept {
  return last_error;
}

API bool grad_mlx_is_available(int number) {
  return guarded(false, [&] { return mx::is_available(device(number)); });
}

API int grad_mlx_default_device() {
  return guarded(-1, [&] { return mx::default_device() == mx::Device::cpu ? 0 : 1; });
}

API bool grad_mlx_set_default_device(int number) {
  return guarded(false, [&] {
    mx::set_default_device(device(number));
    return true;
  });
}

API size_t grad_mlx_active_memory() {
  return guarded(size_t{0}, [] { return mx::get_active_memory(); });
}

API size_t grad_mlx_peak_memory() {
  return guarded(size_t{0}, [] { return mx::get_peak_memory(); });
}

API bool grad_mlx_reset_peak_memory() {
  return guarded(false, [] {
    mx::reset_peak_memory();
    return true;
  });
}

// Makes what MLX keeps for each thread: its streams, its trace and what evaluation needs. Whoever is made after this is
// destroyed before it.
API bool grad_mlx_enter_thread() {
  return guarded(false, [] {
    auto square = [](const array& x) { return mx::square(x); };
    mx::vjp(square, array(1.0f), array(1.0f)).second.eval();
    return true;
  });
}

// Arrays: life and contents

API array* grad_mlx_clone(const array* a) {
  return made([&] { return *a; });
}

API void grad_mlx_free(array* a) noexcept {
  delete a;
}

API size_t grad_mlx_ndim(const array* a) noexcept {
  return a->ndim();
}

API const int32_t* grad_mlx_shape(const array* a) noexcept {
  return a->shape().data();
}

API int grad_mlx_dtype(const array* a) noexcept {
  return number_of(a->dtype());
}

// The operation that will compute the array, by MLX's name; null if its elements are there.
API const char* grad_mlx_operation(const array* a) noexcept {
  return a->has_primitive() && !a->is_available() ? a->primitive().name() : nullptr;
}

API array* grad_mlx_from_data(const void* data, const int32_t* shape, size_t ndim, int dtype) {
  return made([&] {
    auto dims = shape_of(shape, ndim);
    switch (dtype) {
      case 0:
        return array(static_cast<const float*>(data), dims, mx::float32);
      case 1:
        return array(static_cast<const mx::float16_t*>(data), dims, mx::float16);
      case 2:
        return array(static_cast<const mx::bfloat16_t*>(data), dims, mx::bfloat16);
      case 3:
        return array(static_cast<const int32_t*>(data), dims, mx::int32);
      case 4:
        return array(static_cast<const uint32_t*>(data), dims, mx::uint32);
      default:
        return array(static_cast<const bool*>(data), dims, mx::bool_);
    }
  });
}

API bool grad_mlx_to_data(const array* a, void* out, size_t bytes) {
  return guarded(false, [&] {
    array row = mx::contiguous(*a);
    row.eval();
    if (row.nbytes() != bytes) {
      throw std::logic_error("the array does not have the size that was asked for");
    }
    if (bytes > 0) {
      std::memcpy(out, row.data<void>(), bytes);
    }
    return true;
  });
}

API bool grad_mlx_eval(array* a) {
  return guarded(false, [&] {
    a->eval();
    return true;
  });
}

// Turns an array into a constant, in place, if a transform may be tracing it; any other array stays as it is.
// `in_transform` says that one of Rust's transforms is running. MLX's own flag is not enough for those: an inner
// transform clears it on all that its function touched, the outer transform's arrays among them.
API bool grad_mlx_make_constant(array* a, bool in_transform) {
  return guarded(false, [&] {
    if (in_transform || a->is_tracer()) {
      auto stream = a->has_primitive() ? a->primitive().stream() : mx::default_stream(mx::default_device());
      *a = mx::stop_gradient(*a, stream);
    }
    return true;
  });
}

// Operations

// The functions above stand in for what MLX lacks; everything else is MLX's own of that name.
#define UNARY(name)                             \
  API array* grad_mlx_##name(const array* a) {  \
    return made([&] {                           \
      using namespace mlx::core;                \
      return name(*a);                          \
    });                                         \
  }
#define BINARY(name)                                            \
  API array* grad_mlx_##name(const array* a, const array* b) {  \
    return made([&] { return mx::name(*a, *b); });              \
  }
#define REDUCTION(name)                                                                             \
  API array* grad_mlx_##name(const array* a, const int32_t* axes, size_t count, bool keepdims) {    \
    return made([&] { return mx::name(*a, std::vector<int>(axes, axes + count), keepdims); });      \
  }
#define SHAPING(name)                                                                   \
  API array* grad_mlx_##name(const array* a, const int32_t* values, size_t count) {     \
    return made([&] { return mx::name(*a, {values, values + count}); });                \
  }
#define AXIAL(name)                                      \
  API array* grad_mlx_##name(const array* a, int axis) { \
    return made([&] {                                    \
      using namespace mlx::core;                         \
      return name(*a, axis);                             \
    });                                                  \
  }
#include "ops.inc"

API array* grad_mlx_full(const int32_t* shape, size_t ndim, float value, int dtype) {
  return made([&] { return mx::full(shape_of(shape, ndim), array(value), dtypes[dtype]); });
}

API array* grad_mlx_astype(const array* a, int dtype) {
  return made([&] { return mx::astype(*a, dtypes[dtype]); });
}

API array* grad_mlx_where_cond(const array* condition, const array* x, const array* y) {
  return made([&] { return mx::where(*condition, *x, *y); });
}

API array* grad_mlx_argmax(const array* a, int axis, bool keepdims) {
  return made([&] { return mx::argmax(*a, axis, keepdims); });
}

API array* grad_mlx_layer_norm(const array* a, const array* weight, const array* bias, float eps) {
  return made([&] { return mx::fast::layer_norm(*a, *weight, *bias, eps); });
}

API array* grad_mlx_concatenate(const array* const* arrays, size_t count, int axis) {
  return made([&] { return mx::concatenate(copies(arrays, count), axis); });
}

API array* grad_mlx_slice(const array* a, const int32_t* start, const int32_t* stop, size_t ndim) {
  return made([&] { return mx::slice(*a, shape_of(start, ndim), shape_of(stop, ndim)); });
}

API array* grad_mlx_take(const array* a, const array* indices, int axis) {
  return made([&] { return mx::take(*a, in_bounds(*indices, a->shape(axis)), axis); });
}

// Transforms

// A function of Rust: takes ownership of each primal and returns an array that it gives away, or null if it failed.
using RustFunction = array* (*)(void* state, array* const* primals, size_t count);

API bool grad_mlx_value_and_grad(
    RustFunction function,
    void* state,
    const array* const* primals,
    size_t count,
    array** value,
    array** gradients) {
  return guarded(false, [&] {
    auto call = [&](const std::vector<array>& traced) {
      std::vector<array*> given;
      given.reserve(traced.size());
      for (const auto& primal : traced) {
        given.push_back(new array(primal));
      }
      std::unique_ptr<array> result(function(state, given.data(), given.size()));
      if (!result) {
        throw RustFailed();
      }
      return std::vector<array>{*result};
    };
    std::vector<int> every(count);
    for (size_t i = 0; i < count; ++i) {
      every[i] = static_cast<int>(i);
    }
    auto transform = mx::value_and_grad(
        std::function<std::vector<array>(const std::vector<array>&)>(call), every);
    auto [values, results] = transform(copies(primals, count));
    *value = new array(values[0]);
    for (size_t i = 0; i < count; ++i) {
      gradients[i] = new array(results[i]);
    }
    return true;
  });
}
