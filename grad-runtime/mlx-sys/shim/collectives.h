// Communication with other processes.
//
// MLX evaluates lazily, so two collectives that do not depend on each other may run in an order that differs from process to
// process, and then they are paired wrongly. So a collective is evaluated when it is issued, all of a thread on one stream: the
// order of issue is the order of execution.
//
// MLX waits without a limit for a process that does not take part. So nothing here waits inside MLX while a collective is in
// flight: `wait_for_collectives` polls, and Rust says when to stop. Until that has returned, nothing that depends on the result is
// scheduled, so no array is computed from one that failed.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include "errors.h"
#include "flags.h"
#include "graph.h"
#include "mlx/distributed/distributed.h"
#include "mlx/distributed/ops.h"
#include "mlx/distributed/primitives.h"
#include "mlx/scheduler.h"
#include "mlx/transforms.h"
#include "outputs.h"

namespace {

namespace dist = mx::distributed;

// The sockets of MLX's ring. It does not say which they are, but to shut them down is the only way to end its waiting.
class RingSockets {
 public:
  // Calls `connect`, and takes the sockets that it opens with one of these ports at either end.
  template <typename F>
  auto watch(const std::vector<int>& ports, F&& connect) {
    auto before = open_with(ports);
    auto result = connect();
    auto after = open_with(ports);
    std::lock_guard lock(mutex);
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(), std::inserter(sockets, sockets.end()));
    return result;
  }

  // MLX fails what it is waiting for, and closes none of them before the process ends.
  void shut_down() {
    std::lock_guard lock(mutex);
    for (int socket : sockets) {
      ::shutdown(socket, SHUT_RDWR);
    }
  }

 private:
  static int port_of(const sockaddr_storage& address) {
    return address.ss_family == AF_INET ? ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port) : -1;
  }

  static std::set<int> open_with(const std::vector<int>& ports) {
    std::set<int> found;
    auto is_one = [&](int port) { return std::find(ports.begin(), ports.end(), port) != ports.end(); };
    long most = std::min(::sysconf(_SC_OPEN_MAX), 65536L);
    for (int socket = 0; socket < most && !ports.empty(); ++socket) {
      sockaddr_storage here{}, there{};
      socklen_t here_size = sizeof(here), there_size = sizeof(there);
      if (::getsockname(socket, reinterpret_cast<sockaddr*>(&here), &here_size) == 0 &&
          ::getpeername(socket, reinterpret_cast<sockaddr*>(&there), &there_size) == 0 &&
          (is_one(port_of(here)) || is_one(port_of(there)))) {
        found.insert(socket);
      }
    }
    return found;
  }

  std::mutex mutex;
  std::set<int> sockets;
};

RingSockets ring_sockets;

// The collectives of this thread.
struct Communication {
  abi::CollectiveHooks hooks{};
  std::optional<mx::Stream> stream;
  std::vector<array> in_flight;
};

Communication& communication() {
  static thread_local Communication of_thread;
  return of_thread;
}

bool are_complete(const Arrays& arrays) {
  return std::all_of(arrays.begin(), arrays.end(), [](const array& a) { return a.is_available(); });
}

// Ends the process with the main thread, if that has abandoned work: the destructors of MLX's own thread-locals, which run after this one
// since they are older, would wait for the device. The status that the program wants is not known here.
struct EndOfMainThread {
  ~EndOfMainThread() {
#if defined(__linux__)
    if (::syscall(SYS_gettid) == ::getpid()) {
      std::fflush(nullptr);
      ::_exit(EXIT_FAILURE);
    }
#endif
  }
};

// Lets the process end although a device still waits for another process.
void exit_without_waiting() {
  static thread_local EndOfMainThread end_of_main_thread;
  static_cast<void>(end_of_main_thread);
#if defined(__GLIBC__)
  // For another thread's work: the destructors of MLX, CUDA and NCCL would wait, too.
  auto end = [](int status, void*) {
    std::fflush(nullptr);
    ::_exit(status);
  };
  static const int is_registered = ::on_exit(end, nullptr);
  static_cast<void>(is_registered);
#endif
}

[[noreturn]] void stop_waiting() {
  constexpr std::chrono::seconds MOST{2};
  auto& here = communication();
  auto pending = std::exchange(here.in_flight, {});
  ring_sockets.shut_down();
  auto start = std::chrono::steady_clock::now();
  bool is_stopped = false;
  while (!is_stopped && std::chrono::steady_clock::now() - start < MOST) {
    try {
      is_stopped = are_complete(pending);
    } catch (const std::exception&) {
      // The error of one of them, which MLX forgets when it has thrown it.
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (auto& a : pending) {
    a.set_status(array::Status::unscheduled); // It has no graph, so MLX refuses what depends on it.
  }
  if (is_stopped && here.stream->device == mx::Device::cpu) {
    try {
      mx::scheduler::check_error(*here.stream); // Clears it: other work may go on.
    } catch (const std::exception&) {
    }
  }
  if (!is_stopped) {
    new Arrays(std::move(pending)); // Leaked: the device may still write to them.
    exit_without_waiting();
  }
  throw RustError();
}

// Blocks until the collectives in flight are complete, or Rust says to stop.
void wait_for_collectives() {
  constexpr std::chrono::microseconds BRIEFLY{300}; // As long as a small array takes on a network.
  auto& here = communication();
  if (here.in_flight.empty()) {
    return;
  }
  auto start = std::chrono::steady_clock::now();
  try {
    while (!are_complete(here.in_flight)) {
      auto elapsed = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
      if (here.hooks.state && !here.hooks.poll(here.hooks.state, elapsed.count())) {
        stop_waiting();
      }
      if (elapsed < BRIEFLY) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
    if (here.stream->device == mx::Device::cpu) {
      mx::scheduler::check_error(*here.stream);
    }
  } catch (const std::exception& error) {
    if (here.hooks.state) {
      here.hooks.fail(here.hooks.state, error.what());
    }
    stop_waiting();
  }
  auto complete = std::exchange(here.in_flight, {});
  if (here.hooks.state) {
    here.hooks.complete(here.hooks.state, complete.size());
  }
}

// Evaluates arrays, after the collectives in flight.
void evaluate(Arrays arrays) {
  wait_for_collectives();
  mx::eval(std::move(arrays));
}

struct Dependencies {
  bool on_placeholder = false; // An array without elements, of a function that is mapped or compiled.
  bool on_collective = false;  // One in flight.
};

Dependencies dependencies_of(const array& a) {
  Dependencies found;
  std::vector<array> pending{a};
  Marks<char> visited;
  while (!pending.empty()) {
    array next = std::move(pending.back());
    pending.pop_back();
    if (!visited.try_emplace(next.id()).second) {
      continue;
    }
    if (next.status() != array::Status::unscheduled) {
      found.on_collective |= !next.is_available();
    } else if (!next.has_primitive()) {
      found.on_placeholder = true;
    } else {
      pending.insert(pending.end(), next.inputs().begin(), next.inputs().end());
    }
  }
  return found;
}

void announce(const dist::Group& group, abi::Collective collective, const array& operand, int peer) {
  const auto& hooks = communication().hooks;
  if (!hooks.state) {
    throw std::logic_error("the group belongs to another thread; communicate on the one that called `init`");
  }
  auto id = reinterpret_cast<size_t>(group.raw_group().get());
  if (!hooks.issue(hooks.state, id, collective, &operand, peer)) {
    throw RustError();
  }
}

// Starts a collective that nothing traces.
array start(const array& a) {
  mx::async_eval({a});
  communication().in_flight.push_back(a);
  return a;
}

// Issues the collective that `build` makes of an array.
template <typename F>
array issue(abi::Collective collective, const array& a, const dist::Group& group, int peer, F&& build) {
  auto stream = communication().stream;
  if (!stream) {
    throw std::logic_error("the group belongs to another thread; communicate on the one that called `init`");
  }
  auto found = dependencies_of(a);
  if (found.on_placeholder) {
    return build(a, *stream); // `map_operation` issues it, with elements.
  }
  announce(group, collective, a, peer);
  if (found.on_collective) {
    wait_for_collectives();
  }
  array result = build(a, *stream);
  if (running_functions == 0 && !result.is_tracer()) {
    return start(result);
  }
  // MLX does not evaluate what is traced without waiting for it, so this is done by an array beside it.
  evaluate({a});
  array computed = start(build(share_elements(a), *stream));
  wait_for_collectives();
  result.copy_shared_buffer(computed);
  result.set_status(array::Status::available);
  return result;
}

array communicate(abi::Collective collective, const array& a, const dist::Group& group) {
  return issue(collective, a, group, -1, [&](const array& a, mx::Stream stream) {
    switch (collective) {
      case abi::Collective::AllSum:
        return dist::all_sum(a, group, stream);
      case abi::Collective::AllMax:
        return dist::all_max(a, group, stream);
      case abi::Collective::AllMin:
        return dist::all_min(a, group, stream);
      case abi::Collective::AllGather:
        return dist::all_gather(a, group, stream);
      case abi::Collective::SumScatter:
        return dist::sum_scatter(a, group, stream);
      default:
        throw std::logic_error("the collective has a destination or a source");
    }
  });
}

// Returns which collective the operation is, if it is one with derivatives.
std::optional<abi::Collective> collective_of(const mx::Primitive& primitive) {
  static const std::vector<std::pair<std::string_view, abi::Collective>> names = {
      {"Sum AllReduce", abi::Collective::AllSum},
      {"Max AllReduce", abi::Collective::AllMax},
      {"Min AllReduce", abi::Collective::AllMin},
      {"AllGather", abi::Collective::AllGather},
      {"Sum ReduceScatter", abi::Collective::SumScatter},
      {"Send", abi::Collective::Send},
  };
  for (auto [name, collective] : names) {
    if (name == primitive.name()) {
      return collective;
    }
  }
  return std::nullopt;
}

const dist::Group& group_of(const mx::Primitive& primitive) {
  return static_cast<const dist::DistPrimitive&>(primitive).group();
}

} // namespace

extern "C" bool grad_mlx_has_communication(abi::Str backend) noexcept {
  return try_or(false, [&] { return dist::is_available(std::string(backend.data, backend.len)); });
}

extern "C" Group* grad_mlx_init_group(abi::Str backend, abi::IntSlice ports) noexcept {
  return try_or(static_cast<Group*>(nullptr), [&] {
    return new Group(ring_sockets.watch(std::vector<int>(ports.data, ports.data + ports.len), [&] {
      return dist::init(true, std::string(backend.data, backend.len));
    }));
  });
}

extern "C" Group* grad_mlx_split_group(const Group* group, int32_t color, int32_t key) noexcept {
  return try_or(static_cast<Group*>(nullptr), [&] { return new Group(group->split(color, key)); });
}

extern "C" void grad_mlx_free_group(Group* group) noexcept {
  delete group;
}

extern "C" int32_t grad_mlx_group_rank(const Group* group) noexcept {
  return group->rank();
}

extern "C" int32_t grad_mlx_group_size(const Group* group) noexcept {
  return group->size();
}

extern "C" size_t grad_mlx_group_id(const Group* group) noexcept {
  return reinterpret_cast<size_t>(group->raw_group().get());
}

extern "C" bool grad_mlx_set_collective_hooks(abi::CollectiveHooks hooks, abi::Device device) noexcept {
  return succeeds([&] {
    communication().stream = mx::default_stream(to_device(device));
    communication().hooks = hooks;
  });
}

extern "C" bool grad_mlx_collective(
    array* output, abi::Collective collective, const array* a, const Group* group) noexcept {
  return return_array(output, [&] { return communicate(collective, *a, *group); });
}

extern "C" bool grad_mlx_send(array* output, const array* a, int32_t destination, const Group* group) noexcept {
  return return_array(output, [&] {
    return issue(abi::Collective::Send, *a, *group, destination, [&](const array& a, mx::Stream stream) {
      return dist::send(a, destination, *group, stream);
    });
  });
}

extern "C" bool grad_mlx_recv(
    array* output, abi::IntSlice shape, const array* like, int32_t source, const Group* group) noexcept {
  return return_array(output, [&] {
    array operand(to_shape(shape), like->dtype(), nullptr, Arrays{});
    announce(*group, abi::Collective::Recv, operand, source);
    return start(dist::recv(operand.shape(), operand.dtype(), source, *group, communication().stream.value()));
  });
}

extern "C" bool grad_mlx_wait_for_collectives() noexcept {
  return succeeds([] { wait_for_collectives(); });
}
