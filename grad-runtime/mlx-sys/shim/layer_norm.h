// Layer norm: with a gradient that is right, and of a sum in one kernel.
#pragma once

#include <optional>
#include <sstream>
#include <typeinfo>

#include "convert.h"
#include "mlx/backend/cuda/cuda.h"
#include "mlx/fast.h"
#include "mlx/primitives.h"

namespace {

bool is_on_cuda() {
  return mx::default_device() == mx::Device::gpu && mx::cu::is_available();
}

// Adds two arrays and normalizes the rows of the sum, which is not written: for each row a warp, whose threads have neighbors of four.
constexpr const char* ADD_AND_NORMALIZE = R"(
  struct alignas(4 * sizeof(T)) Four { T of[4]; };
  constexpr int STEPS = LENGTH / 128;
  const int lane = threadIdx.x % 32;
  const long row = blockIdx.x * (blockDim.x / 32L) + threadIdx.x / 32;
  if (row >= x_shape[0]) return;
  float values[STEPS * 4];
  float sum = 0;
  #pragma unroll
  for (int step = 0; step < STEPS; ++step) {
    const long at = row * LENGTH + step * 128 + lane * 4;
    const Four xs = *reinterpret_cast<const Four*>(x + at), ys = *reinterpret_cast<const Four*>(y + at);
    #pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float value = static_cast<float>(static_cast<T>(static_cast<float>(xs.of[i]) + static_cast<float>(ys.of[i])));
      values[step * 4 + i] = value;
      sum += value;
    }
  }
  for (int offset = 16; offset; offset /= 2) sum += __shfl_xor_sync(0xffffffff, sum, offset);
  const float mean = sum / LENGTH;
  float squares = 0;
  #pragma unroll
  for (int i = 0; i < STEPS * 4; ++i) squares += (values[i] - mean) * (values[i] - mean);
  for (int offset = 16; offset; offset /= 2) squares += __shfl_xor_sync(0xffffffff, squares, offset);
  const float scale = rsqrtf(squares / LENGTH + EPS);
  #pragma unroll
  for (int step = 0; step < STEPS; ++step) {
    const int at = step * 128 + lane * 4;
    const Four ws = *reinterpret_cast<const Four*>(weight + at), bs = *reinterpret_cast<const Four*>(bias + at);
    Four out;
    #pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float normal = (values[step * 4 + i] - mean) * scale;
      out.of[i] = static_cast<T>(normal * static_cast<float>(ws.of[i]) + static_cast<float>(bs.of[i]));
    }
    *reinterpret_cast<Four*>(normalized + row * LENGTH + at) = out;
  }
)";

// Returns the operands of the sum that `a` is, if the kernel can compute its norm: on CUDA, where no transform traces it.
std::optional<std::pair<array, array>> summands_to_normalize(
    const array& a, const std::optional<array>& weight, const std::optional<array>& bias) {
  constexpr int MOST = 2048; // A thread keeps its part of the row in 64 registers.
  if (!is_on_cuda() || a.is_tracer() || !a.has_primitive() || a.status() != array::Status::unscheduled ||
      typeid(a.primitive()) != typeid(mx::Add) || !weight || !bias) {
    return std::nullopt;
  }
  bool is_real = a.dtype() == mx::float32 || a.dtype() == mx::float16 || a.dtype() == mx::bfloat16;
  auto fits = [&](const array& x) { return x.dtype() == a.dtype() && !x.is_tracer(); };
  const array& x = a.inputs()[0];
  const array& y = a.inputs()[1];
  if (!is_real || a.size() == 0 || a.shape(-1) % 128 != 0 || a.shape(-1) > MOST || !fits(x) || !fits(y) || !fits(*weight) ||
      !fits(*bias) || x.shape() != a.shape() || y.shape() != a.shape()) {
    return std::nullopt;
  }
  return std::pair(x, y);
}

array normalized_sum(const array& x, const array& y, const array& weight, const array& bias, float eps) {
  constexpr int WARPS = 8;
  std::ostringstream source;
  source << "constexpr float EPS = " << std::hexfloat << eps << ";" << ADD_AND_NORMALIZE;
  auto kernel = mx::fast::cuda_kernel(
      "add_and_normalize", {"x", "y", "weight", "bias"}, {"normalized"}, source.str());
  int length = x.shape(-1);
  auto rows = [&](const array& a) { return a.ndim() == 2 ? a : mx::reshape(a, {-1, length}); };
  array first = rows(x);
  int blocks = (first.shape(0) + WARPS - 1) / WARPS;
  array normalized = kernel(
      {first, rows(y), weight, bias}, {first.shape()}, {x.dtype()}, {blocks * WARPS * 32, 1, 1}, {WARPS * 32, 1, 1},
      {{"T", x.dtype()}, {"LENGTH", length}}, std::nullopt, false, {})[0];
  return x.ndim() == 2 ? normalized : mx::reshape(normalized, x.shape());
}

array layer_norm_with_gradient(
    const array& a, const std::optional<array>& weight, const std::optional<array>& bias, float eps) {
  // Checks the operands. It is computed only if it is returned.
  array fused = mx::fast::layer_norm(a, weight, bias, eps);
  if (auto summands = summands_to_normalize(a, weight, bias)) {
    return normalized_sum(summands->first, summands->second, *weight, *bias, eps);
  }
  // MLX's CUDA kernel (0.32.4) computes a wrong gradient where the last axis is not a multiple of 16 bytes. There the norm is
  // composed of operations whose gradients are right, in float32 as in the kernel.
  if (!is_on_cuda() || a.shape(-1) * a.itemsize() % 16 == 0) {
    return fused;
  }
  array x = mx::astype(a, mx::float32);
  x = mx::subtract(x, mx::mean(x, -1, true));
  x = mx::multiply(x, mx::rsqrt(mx::add(mx::mean(mx::square(x), -1, true), array(eps))));
  x = mx::astype(x, fused.dtype());
  if (weight) {
    x = mx::multiply(x, *weight);
  }
  return mx::astype(bias ? mx::add(x, *bias) : x, fused.dtype());
}

} // namespace
