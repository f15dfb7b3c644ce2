// Tensors of a libtorch newer than tch 0.10 supports, with a C interface.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

// Returns whether the result of an operation on a weight requires a gradient.
extern "C" bool records() {
  at::Tensor weight = at::ones({2}).set_requires_grad(true);
  return (weight * 2).requires_grad();
}

extern "C" bool is_grad_enabled() {
  return c10::GradMode::is_enabled();
}

extern "C" void set_grad_enabled(bool enabled) {
  c10::GradMode::set_enabled(enabled);
}

// Returns whether the result of an operation is an inference tensor.
extern "C" bool is_inference() {
  return (at::ones({2}) * 2).is_inference();
}
