// GELU on the CPU as one operation. Composed of MLX's operations it takes five passes over memory and an erf that is not
// vectorized: about a third of the time of MiniLM.
#pragma once

#include <bit>
#include <cmath>
#include <functional>

#include "convert.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/primitives.h"

// Compiles a loop once for each vector width that the processor may have, and allows the compiler to vectorize it. Clang
// knows neither attribute as GCC spells it.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define VECTORIZED \
  __attribute__((  \
      target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3,no-trapping-math,no-math-errno")))
#else
#define VECTORIZED
#endif

namespace {

// Computes x · Φ(x) of each element. Φ uses the polynomial for erf that MLX uses too (Abramowitz and Stegun, 7.1.26, error at
// most 1.5e-7), and an exponential without calls, so that the loop can be vectorized.
VECTORIZED void gelu_elements(const float* __restrict from, float* __restrict to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    float x = from[i];
    float z = __builtin_fabsf(x) * 0.70710678f;
    float t = 1.0f / (0.3275911f * z + 1.0f);
    float erf = 1.061405429f * t - 1.453152027f;
    erf = erf * t + 1.421413741f;
    erf = erf * t - 0.284496736f;
    erf = erf * t + 0.254829592f;
    // exp(-z²) is 2 to this power. Its integer part becomes the exponent, its fraction goes through a polynomial.
    float power = -z * z * 1.442695041f;
    power = power >= -126.0f ? power : -126.0f; // also replaces NaN, which has no integer part
    float integer = __builtin_floorf(power + 0.5f);
    float fraction = power - integer;
    float exp = 1.535336188e-4f;
    exp = exp * fraction + 1.339887441e-3f;
    exp = exp * fraction + 9.618437358e-3f;
    exp = exp * fraction + 5.550332471e-2f;
    exp = exp * fraction + 2.402264791e-1f;
    exp = exp * fraction + 6.931472028e-1f;
    exp = exp * fraction + 1.0f;
    exp *= std::bit_cast<float>((static_cast<int>(integer) + 127) << 23);
    float tail = 0.5f * erf * t * exp;
    to[i] = x * (x > 0.0f ? 1.0f - tail : tail);
  }
}

// GELU composed of MLX's operations, which has derivatives of every order on any device and for any float dtype.
array composed_gelu(const array& a) {
  auto constant = [&](double x) { return array(x, a.dtype()); };
  auto cdf = mx::erf(mx::divide(a, constant(std::sqrt(2.0))));
  return mx::divide(mx::multiply(a, mx::add(constant(1), cdf)), constant(2));
}

array gelu_on_cpu(const array& a);

// A separate function, for the report of a race detector: there it tells MLX's task counter, which MLX reads without a lock,
// from the shim's accesses.
[[gnu::noinline]] void dispatch(mx::cpu::CommandEncoder& encoder, std::function<void()> task) {
  encoder.dispatch(std::move(task));
}

// GELU of a row-contiguous float32 array on the CPU.
class Gelu : public mx::UnaryPrimitive {
 public:
  using mx::UnaryPrimitive::UnaryPrimitive;

  void eval_cpu(const Arrays& inputs, array& out) override {
    out.set_data(mx::allocator::malloc(out.nbytes()));
    auto& encoder = mx::cpu::get_command_encoder(stream());
    encoder.set_input_array(inputs[0]);
    encoder.set_output_array(out);
    dispatch(encoder, [from = inputs[0].data<float>(), to = out.data<float>(), count = out.size()] {
      gelu_elements(from, to, count);
    });
  }

  void eval_gpu(const Arrays&, array&) override {
    throw std::logic_error("this GELU runs on the CPU only");
  }

  Arrays vjp(const Arrays& primals, const Arrays& cotangents, const std::vector<int>&, const Arrays&) override {
    auto composed = [](const Arrays& x) { return Arrays{composed_gelu(x[0])}; };
    return mx::vjp(composed, primals, cotangents).second;
  }

  Arrays jvp(const Arrays& primals, const Arrays& tangents, const std::vector<int>&) override {
    auto composed = [](const Arrays& x) { return Arrays{composed_gelu(x[0])}; };
    return mx::jvp(composed, primals, tangents).second;
  }

  std::pair<Arrays, std::vector<int>> vmap(const Arrays& inputs, const std::vector<int>& axes) override {
    return {{gelu_on_cpu(inputs[0])}, axes};
  }

  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override {
    return {inputs[0].shape()};
  }

  bool is_equivalent(const mx::Primitive&) const override {
    return true;
  }

  const char* name() const override {
    return "Gelu";
  }
};

array gelu_on_cpu(const array& a) {
  auto stream = mx::default_stream(mx::Device::cpu);
  return array(a.shape(), a.dtype(), std::make_shared<Gelu>(stream), {mx::contiguous(a, false, stream)});
}

} // namespace
