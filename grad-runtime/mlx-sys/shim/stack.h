// How much of this thread's stack is left.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>

namespace {

// Returns the number of bytes, or 0 if it is unknown.
size_t remaining_stack() {
  auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
#ifdef __APPLE__
  auto top = reinterpret_cast<uintptr_t>(pthread_get_stackaddr_np(pthread_self()));
  auto bottom = top - pthread_get_stacksize_np(pthread_self());
#else
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
    return 0;
  }
  void* lowest = nullptr;
  size_t size = 0;
  pthread_attr_getstack(&attributes, &lowest, &size);
  pthread_attr_destroy(&attributes);
  auto bottom = reinterpret_cast<uintptr_t>(lowest);
#endif
  return here > bottom ? here - bottom : 0;
}

} // namespace
