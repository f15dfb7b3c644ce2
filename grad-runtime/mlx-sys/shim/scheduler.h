// The thread that MLX's scheduler takes for the main one.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "mlx/scheduler.h"

namespace {

// The thread that uses MLX's scheduler first gets special treatment: whenever it adds work, MLX throws there what failed
// elsewhere, loses count of its tasks, and after some failures waits forever. So a thread that never computes comes first.
// It stays, so that no other thread gets its id.
void claim_scheduler_thread() {
  // Never destroyed, since the thread waits on them until the process ends.
  static auto& mutex = *new std::mutex();
  static auto& changed = *new std::condition_variable();
  static bool ready = false;
  static const bool claimed = [] {
    std::thread([] {
      mlx::core::scheduler::scheduler();
      std::unique_lock lock(mutex);
      ready = true;
      changed.notify_all();
      changed.wait(lock, [] { return false; });
    }).detach();
    std::unique_lock lock(mutex);
    changed.wait(lock, [] { return ready; });
    return true;
  }();
  static_cast<void>(claimed);
}

} // namespace
