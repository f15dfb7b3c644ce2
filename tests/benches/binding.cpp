// The operations of benches/binding.rs in C++, timed the same way: prints nanoseconds per operation.
#include <chrono>
#include <cstdio>
#include <cstdlib>

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

int main(int, char** arguments) {
  int rounds = std::atoi(arguments[1]);
  auto x = mx::ones({32, 32});
  x.eval();
  double add = nanoseconds(rounds, [&] { auto y = mx::add(x, x); });
  double exp = nanoseconds(rounds, [&] { auto y = mx::exp(x); });
  double sum = nanoseconds(rounds, [&] { auto y = mx::sum(x, {0}, true); });
  double matmul = nanoseconds(rounds, [&] { auto y = mx::matmul(x, x); });
  std::printf("%f %f %f %f\n", add, exp, sum, matmul);
}
