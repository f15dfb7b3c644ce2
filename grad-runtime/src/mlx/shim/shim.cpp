// A plain C interface to MLX's C++ one, for mlx/ffi. Three rules hold throughout:
//   - an array crosses as a pointer to a heap-allocated mlx::core::array that the receiver owns;
//   - no exception leaves: a function that fails returns null (or false) and keeps the message for grad_mlx_error();
//   - nothing is decided here that Rust can decide: this translates, and mends what MLX does not keep of its own promises,
//     operations.h where a call would read out of bounds, transforms.h and marks.h where transforms are nested.

#include "base.h"
#include "operations.h"
#include "transforms.h"

namespace {

// A device as Rust numbers it: 0 is the CPU, 1 the GPU.
mx::Device device(int number) {
  return number == 0 ? mx::Device::cpu : mx::Device::gpu;
}

// In the place of a switch that this MLX does not have: templates come second where there is a function.
struct Missing {};
template <typename = void>
Missing is_grad_enabled() {
  return {};
}
template <typename Enabled>
void set_grad_enabled(Enabled) {}

bool is_on(bool enabled) {
  return enabled;
}
bool is_on(Missing) {
  return true;
}

} // namespace

// Outside of the namespace above, which would hide MLX's.
static auto found_switch() {
  using namespace mlx::core;
  return is_grad_enabled();
}

// The library itself

API const char* grad_mlx_error() noexcept {
  return last_error;
}

API bool grad_mlx_has_switch() noexcept {
  return !std::is_same_v<decltype(found_switch()), Missing>;
}

API bool grad_mlx_is_grad_enabled() noexcept {
  return is_on(found_switch());
}

API void grad_mlx_set_grad_enabled(bool enabled) noexcept {
  using namespace mlx::core;
  set_grad_enabled(enabled);
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
    use_mlx_elsewhere_first();
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

API array* grad_mlx_from_data(const void* data, Numbers lengths, int dtype) {
  return made([&] {
    auto dims = to_shape(lengths);
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

API array* grad_mlx_full(Numbers lengths, float value, int dtype) {
  return made([&] { return mx::full(to_shape(lengths), array(value), dtypes[dtype]); });
}

// Lists of arrays

API Arrays* grad_mlx_list(List arrays) {
  return guarded(static_cast<Arrays*>(nullptr), [&] { return new Arrays(to_arrays(arrays)); });
}

API size_t grad_mlx_list_length(const Arrays* arrays) noexcept {
  return arrays->size();
}

API array* grad_mlx_list_get(const Arrays* arrays, size_t at) {
  return made([&] { return arrays->at(at); });
}

API void grad_mlx_list_free(Arrays* arrays) noexcept {
  delete arrays;
}

// Evaluates all of them, and waits for the elements unless `async`.
API bool grad_mlx_eval_all(List arrays, bool async) {
  return guarded(false, [&] {
    async ? mx::async_eval(to_arrays(arrays)) : mx::eval(to_arrays(arrays));
    return true;
  });
}

// Streams

API int grad_mlx_new_stream(int number) {
  return guarded(-1, [&] { return mx::new_stream(device(number)).index; });
}

// The default stream of this thread for a device, by its index.
API int grad_mlx_default_stream(int number) {
  return guarded(-1, [&] { return mx::default_stream(device(number)).index; });
}

API bool grad_mlx_set_default_stream(int number, int index) {
  return guarded(false, [&] {
    mx::set_default_stream(mx::Stream(index, device(number)));
    return true;
  });
}

API bool grad_mlx_synchronize(int number, int index) {
  return guarded(false, [&] {
    mx::synchronize(mx::Stream(index, device(number)));
    return true;
  });
}
