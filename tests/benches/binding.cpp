// The operations of benches/binding.rs in C++, timed the same way: prints nanoseconds per operation. A second argument names
// the one to run.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "mlx/mlx.h"

namespace mx = mlx::core;

template <typename F>
double nanoseconds(int rounds, F&& f) {
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) {
    f();
  }
  std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - start;
  return passed.count() / rounds;
}

int main(int count, char** arguments) {
  int rounds = std::atoi(arguments[1]);
  auto x = mx::ones({32, 32});
  x.eval();
  auto time = [&](const char* name, auto operation) {
    if (count < 3 || std::strcmp(arguments[2], name) == 0) {
      std::printf("%f\n", nanoseconds(rounds, operation));
    }
  };
  time("add", [&] { auto y = mx::add(x, x); });
  time("exp", [&] { auto y = mx::exp(x); });
  time("sum", [&] { auto y = mx::sum(x, {0}, true); });
  time("matmul", [&] { auto y = mx::matmul(x, x); });
}
