// The cases of benches/binding.rs in C++, in the same order. `binding time ROUNDS` prints the nanoseconds of each; `binding
// count ROUNDS` runs each once with a call of `callgrind_mark` before and after the rounds.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "mlx/mlx.h"

namespace mx = mlx::core;
using mx::array;

struct Inputs {
  array x = mx::ones({32, 32});
  array mask = mx::ones({32, 32}, mx::bool_);
  array weight = mx::ones({32});
  array bias = mx::zeros({32});
  std::vector<array> parts = {x, x, x};

  Inputs() {
    mx::eval(x, mask, weight, bias);
  }
};

// Inlines the operation into the loop, as in Rust.
template <auto operation>
void repeat(const Inputs& inputs, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    auto y = operation(inputs);
  }
}

using Case = void (*)(const Inputs&, int);

const Case CASES[] = {
    repeat<[](const Inputs& in) { return mx::add(in.x, in.x); }>,
    repeat<[](const Inputs& in) { return mx::exp(in.x); }>,
    repeat<[](const Inputs& in) { return mx::sum(in.x, {0}, true); }>,
    repeat<[](const Inputs& in) { return mx::matmul(in.x, in.x); }>,
    repeat<[](const Inputs& in) { return mx::reshape(in.x, {16, 64}); }>,
    repeat<[](const Inputs& in) { return mx::transpose(in.x, {1, 0}); }>,
    repeat<[](const Inputs& in) { return mx::astype(in.x, mx::float16); }>,
    repeat<[](const Inputs& in) { return mx::where(in.mask, in.x, in.x); }>,
    repeat<[](const Inputs& in) { return mx::softmax(in.x, 1, true); }>,
    repeat<[](const Inputs& in) { return mx::fast::layer_norm(in.x, in.weight, in.bias, 1e-5f); }>,
    repeat<[](const Inputs& in) { return mx::concatenate(in.parts, 0); }>,
    repeat<[](const Inputs& in) { return mx::split(in.x, 4, 0); }>,
    repeat<[](const Inputs& in) { return array(in.x); }>,
};

extern "C" __attribute__((noinline)) void callgrind_mark() {
  asm volatile("");
}

int main(int count, char** arguments) {
  if (count != 3) {
    return 1;
  }
  bool counts = std::strcmp(arguments[1], "count") == 0;
  int rounds = std::atoi(arguments[2]);
  Inputs inputs;
  for (auto run : CASES) {
    if (counts) {
      run(inputs, 10);
      callgrind_mark();
      run(inputs, rounds);
      callgrind_mark();
      continue;
    }
    run(inputs, rounds); // A new process is slower at first.
    auto start = std::chrono::steady_clock::now();
    run(inputs, rounds);
    std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - start;
    std::printf("%f\n", passed.count() / rounds);
  }
}
