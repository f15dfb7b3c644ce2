// A C interface to MLX's C++ one. src/abi.rs declares its functions and describes each. Throughout:
//   - an array stays where its owner has it, and crosses as a pointer to there; Rust gives the place of one that is returned;
//   - no exception leaves: a function that fails returns null, false or -1 and stores a message for grad_mlx_error;
//   - Rust decides what it can. This translates, and adds what MLX lacks: checks where a call would read out of bounds
//     (operations.h), transforms that do not recurse (transforms.h), and what operations lack (derivatives.h).

#include <cstring>
#include <new>
#include <type_traits>

#include "collectives.h"
#include "compilation.h"
#include "convert.h"
#include "errors.h"
#include "operations.h"
#include "outputs.h"
#include "scheduler.h"
#include "sharing.h"
#include "custom_functions.h"

namespace {

// Stand-ins for the functions of a grad mode that this MLX does not have. Where MLX declares functions of these names,
// overload resolution prefers them to templates.
struct Missing {};
template <typename = void>
Missing is_grad_enabled() {
  return {};
}
template <typename Enabled>
void set_grad_enabled(Enabled) {}

bool is_enabled(bool enabled) {
  return enabled;
}
bool is_enabled(Missing) {
  return true;
}

// An array that is moved here by its bytes, as Rust moves it, to be destroyed. The destructor of an array leaves a null pointer behind
// and destroys that, which is optimized out only where the compiler sees all uses of the memory.
union MovedArray {
  explicit MovedArray(const array* a) {
    std::memcpy(static_cast<void*>(&value), static_cast<const void*>(a), sizeof(array));
  }
  ~MovedArray() {
    value.~array();
  }

  array value;
};

} // namespace

// Not in the namespace above, whose functions would hide MLX's.
static auto mlx_grad_mode() {
  using namespace mlx::core;
  return is_grad_enabled();
}

extern "C" const char* grad_mlx_error() noexcept {
  return last_error;
}

// MLX's own grad mode

extern "C" bool grad_mlx_has_grad_mode() noexcept {
  return !std::is_same_v<decltype(mlx_grad_mode()), Missing>;
}

extern "C" bool grad_mlx_is_grad_enabled() noexcept {
  return is_enabled(mlx_grad_mode());
}

extern "C" void grad_mlx_set_grad_enabled(bool enabled) noexcept {
  using namespace mlx::core;
  set_grad_enabled(enabled);
}

// Threads, devices and memory

extern "C" bool grad_mlx_enter_thread() noexcept {
  return succeeds([] {
    claim_scheduler_thread();
    streams_of_thread();
    auto square = [](const array& x) { return mx::square(x); };
    mx::vjp(square, array(1.0f), array(1.0f)).second.eval();
  });
}

extern "C" bool grad_mlx_is_available(abi::Device device) noexcept {
  return try_or(false, [&] { return mx::is_available(to_device(device)); });
}

extern "C" int32_t grad_mlx_default_device() noexcept {
  return try_or(int32_t{-1}, [] {
    auto device = mx::default_device() == mx::Device::cpu ? abi::Device::Cpu : abi::Device::Gpu;
    return static_cast<int32_t>(device);
  });
}

extern "C" bool grad_mlx_set_default_device(abi::Device device) noexcept {
  return succeeds([&] { mx::set_default_device(to_device(device)); });
}

extern "C" size_t grad_mlx_active_memory() noexcept {
  return try_or(size_t{0}, [] { return mx::get_active_memory(); });
}

extern "C" size_t grad_mlx_peak_memory() noexcept {
  return try_or(size_t{0}, [] { return mx::get_peak_memory(); });
}

extern "C" bool grad_mlx_reset_peak_memory() noexcept {
  return succeeds([] { mx::reset_peak_memory(); });
}

// Streams

extern "C" int32_t grad_mlx_new_stream(abi::Device device) noexcept {
  return try_or(int32_t{-1}, [&] {
    auto stream = mx::new_stream(to_device(device));
    add_stream_of_thread(stream);
    return stream.index;
  });
}

extern "C" int32_t grad_mlx_default_stream(abi::Device device) noexcept {
  return try_or(int32_t{-1}, [&] { return mx::default_stream(to_device(device)).index; });
}

extern "C" bool grad_mlx_set_default_stream(abi::Device device, int32_t index) noexcept {
  return succeeds([&] {
    if (auto before = mx::peek_default_stream(to_device(device))) {
      add_stream_of_thread(*before);
    }
    mx::set_default_stream(mx::Stream(index, to_device(device)));
  });
}

extern "C" bool grad_mlx_synchronize(abi::Device device, int32_t index) noexcept {
  return succeeds([&] {
    wait_for_collectives();
    mx::synchronize(mx::Stream(index, to_device(device)));
  });
}

// Arrays

extern "C" void grad_mlx_clone(array* output, const array* a) noexcept {
  new (output) array(*a);
}

extern "C" void grad_mlx_free(array* a) noexcept {
  MovedArray moved(a);
}

extern "C" size_t grad_mlx_ndim(const array* a) noexcept {
  return a->ndim();
}

extern "C" const int32_t* grad_mlx_shape(const array* a) noexcept {
  return a->shape().data();
}

extern "C" int32_t grad_mlx_dtype(const array* a) noexcept {
  return dtype_number(a->dtype());
}

extern "C" const char* grad_mlx_operation(const array* a) noexcept {
  return a->has_primitive() && !a->is_available() ? a->primitive().name() : nullptr;
}

extern "C" bool grad_mlx_from_data(
    array* output, const void* data, abi::IntSlice shape, abi::Dtype dtype) noexcept {
  return return_array(output, [&] {
    switch (dtype) {
#define CASE(name, number, mlx_dtype, element) \
  case abi::Dtype::name:                       \
    return array(static_cast<const element*>(data), to_shape(shape), mlx_dtype);
      FOR_EACH_DTYPE(CASE)
#undef CASE
    }
    throw std::invalid_argument("unknown dtype");
  });
}

extern "C" bool grad_mlx_full(array* output, abi::IntSlice shape, const array* value) noexcept {
  return return_array(output, [&] { return mx::full(to_shape(shape), *value, value->dtype()); });
}

extern "C" bool grad_mlx_to_data(const array* a, void* data, size_t size) noexcept {
  return succeeds([&] {
    array row = mx::contiguous(*a);
    wait_for_collectives();
    row.eval();
    if (row.nbytes() != size) {
      throw std::logic_error("the array has another size than the buffer");
    }
    if (size > 0) {
      std::memcpy(data, row.data<void>(), size);
    }
  });
}

extern "C" bool grad_mlx_eval(const array* a) noexcept {
  return succeeds([&] {
    wait_for_collectives();
    array(*a).eval();
  });
}

extern "C" bool grad_mlx_eval_all(abi::ArraySlice arrays, bool is_async) noexcept {
  return succeeds([&] {
    auto all = to_arrays(arrays);
    wait_for_collectives();
    is_async ? mx::async_eval(all) : mx::eval(all);
  });
}

extern "C" size_t grad_mlx_id(const array* a) noexcept {
  return a->id();
}

extern "C" bool grad_mlx_is_traced(const array* a) noexcept {
  return a->is_tracer();
}

extern "C" bool grad_mlx_make_constant(array* a) noexcept {
  return succeeds([&] {
    if (a->is_tracer()) {
      *a = constant(*a);
    }
  });
}

// Lists of arrays

extern "C" bool grad_mlx_extend(Arrays* list, abi::ArraySlice arrays) noexcept {
  return succeeds([&] { list->insert(list->end(), arrays.data, arrays.data + arrays.len); });
}

#include "operations.inc"
