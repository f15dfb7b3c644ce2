// Exceptions become messages: none leaves the shim.
#pragma once

#include <cstring>
#include <exception>

namespace {

// A plain buffer, so that no destructor runs while its thread ends. A longer message is cut.
thread_local char last_error[2048];

void set_last_error(const char* message) noexcept {
  std::strncpy(last_error, message, sizeof(last_error) - 1);
}

// Thrown through MLX when a function of Rust failed; Rust keeps its error.
struct RustError {};

// Stores the message of the exception that is being handled.
[[gnu::cold, gnu::noinline]] void store_exception() noexcept {
  try {
    throw;
  } catch (const RustError&) {
    set_last_error("the function inside the transform failed");
  } catch (const std::exception& e) {
    set_last_error(e.what());
  } catch (...) {
    set_last_error("an exception that is not a std::exception");
  }
}

// Returns what `f` returns. If it throws, stores the message and returns `failed`.
template <typename F, typename R>
R try_or(R failed, F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    store_exception();
    return failed;
  }
}

// Returns whether `f` runs without throwing.
template <typename F>
bool succeeds(F&& f) noexcept {
  return try_or(false, [&] {
    f();
    return true;
  });
}

} // namespace
