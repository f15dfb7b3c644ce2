// Faults in C++, in a shared library that a Rust program loads, as it loads the shim. A comment names the line of each.
#include <vector>

extern "C" int read(const int* elements, int at) {
  return elements[at]; // fault: c++-read
}

extern "C" void leak() {
  static int* volatile last;
  last = new int[4]; // fault: c++-leak
  last = nullptr;
}

extern "C" int increment(int x) {
  return x + 1; // fault: c++-overflow
}

extern "C" int index(int at) {
  return std::vector<int>(4)[at];
}

extern "C" void race() {
  static volatile int count;
  count = count + 1; // fault: c++-race
}
