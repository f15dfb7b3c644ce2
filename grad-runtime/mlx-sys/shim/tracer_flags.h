// The tracer flags of arrays, which MLX clears where transforms are nested.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "convert.h"
#include "mlx/primitives.h"

namespace {

// How many functions of Rust are running on this thread, one inside the other.
thread_local int running_functions = 0;

struct RunningFunction {
  RunningFunction() {
    ++running_functions;
  }
  ~RunningFunction() {
    --running_functions;
  }
};

// Returns whether an array is a constant to every transform: the output of stop_gradient.
bool is_stop_gradient(const array& a) {
  return a.has_primitive() && std::strcmp(a.primitive().name(), "StopGradient") == 0;
}

bool has_tracer_input(const array& a) {
  return std::any_of(a.inputs().begin(), a.inputs().end(), [](const array& input) { return input.is_tracer(); });
}

// Returns the arrays at which the traces of outer transforms begin, among those that `outputs` depend on. `primals` are the
// primals of the transform that is running.
Arrays outer_trace_roots(const Arrays& outputs, const Arrays& primals) {
  std::unordered_set<uintptr_t> own, seen;
  for (const auto& primal : primals) {
    own.insert(primal.id());
  }
  Arrays roots, left = outputs;
  while (!left.empty()) {
    array a = std::move(left.back());
    left.pop_back();
    if (!a.is_tracer() || !seen.insert(a.id()).second) {
      continue;
    }
    if (has_tracer_input(a)) {
      left.insert(left.end(), a.inputs().begin(), a.inputs().end());
    } else if (own.count(a.id()) == 0) {
      roots.push_back(std::move(a));
    }
  }
  return roots;
}

// Visits graphs, each array once and after its inputs.
class InputsFirst {
 public:
  template <typename Visit>
  void visit(const Arrays& ends, Visit&& visit) {
    std::vector<std::pair<array, size_t>> path;
    auto enter = [&](const array& a) {
      if (visited.insert(a.id()).second) {
        alive.push_back(a);
        path.emplace_back(a, 0);
      }
    };
    for (const auto& end : ends) {
      enter(end);
      while (!path.empty()) {
        auto& [a, next] = path.back();
        if (next < a.inputs().size()) {
          enter(array(a.inputs()[next++]));
          continue;
        }
        visit(a);
        path.pop_back();
      }
    }
  }

 private:
  std::unordered_set<uintptr_t> visited;
  // Keeps the visited arrays, so that no new one gets an address in `visited`.
  Arrays alive;
};

// Restores the tracer flags of outer transforms. MLX flags the arrays that a running transform traces. When an inner
// transform ends, MLX clears the flag of all arrays that it touched, those of outer transforms among them, and evaluating
// such an array would then detach it from the outer graph.
class TracerFlags {
 public:
  TracerFlags() : outer(std::exchange(innermost, this)) {}
  ~TracerFlags() {
    innermost = outer;
  }
  TracerFlags(const TracerFlags&) = delete;
  TracerFlags& operator=(const TracerFlags&) = delete;

  // Records what the transform has traced. To be called when the transformed function has returned, before MLX clears the
  // flags. An array that the function made of its primals may live on without being an output.
  void record(const Arrays& outputs, const Arrays& primals) {
    own = primals;
    touched = outputs;
    touched.insert(touched.end(), primals.begin(), primals.end());
    if (running_functions > 0) {
      roots = outer_trace_roots(touched, primals);
    }
  }

  // Sets the flags of what the transform has traced, as far as outer transforms trace it too.
  void restore() {
    restore(touched);
  }

  // As above, for what `ends` depend on.
  void restore(const Arrays& ends) {
    if (roots.empty()) {
      return;
    }
    for (auto& a : roots) {
      a.set_tracer(true);
    }
    graph.visit(ends, [](array& a) {
      if (has_tracer_input(a)) {
        for (auto& output : a.outputs()) {
          output.set_tracer(true);
        }
      }
    });
  }

  // Restores the flags for a function that MLX calls after it has cleared them.
  static void restore_for_call(const Arrays& inputs) {
    if (innermost) {
      innermost->restore(inputs);
    }
  }

 private:
  friend class TracedAgain;

  static inline thread_local TracerFlags* innermost = nullptr;
  TracerFlags* outer;
  Arrays own, touched, roots;
  InputsFirst graph;
};

// Flags all that the innermost transform has traced, for a function of Rust that mx::jvp calls after it has cleared the flags:
// the function may evaluate what it has captured, and MLX still reads the primitives of those arrays. (mx::vjp itself keeps all
// graphs meanwhile.)
class TracedAgain {
 public:
  TracedAgain() {
    if (!TracerFlags::innermost) {
      return;
    }
    for (auto& primal : TracerFlags::innermost->own) {
      flag(primal);
    }
    InputsFirst().visit(TracerFlags::innermost->touched, [&](array& a) {
      if (has_tracer_input(a)) {
        for (auto& output : a.outputs()) {
          flag(output);
        }
      }
    });
  }
  ~TracedAgain() {
    for (auto& a : flagged) {
      a.set_tracer(false);
    }
  }
  TracedAgain(const TracedAgain&) = delete;
  TracedAgain& operator=(const TracedAgain&) = delete;

 private:
  void flag(array& a) {
    if (!a.is_tracer()) {
      a.set_tracer(true);
      flagged.push_back(a);
    }
  }

  Arrays flagged;
};

// Runs a transform of `function`, which may be nested in others.
template <typename Transform>
std::pair<Arrays, Arrays> run_nested(const Transformable& function, Transform transform) {
  TracerFlags flags;
  auto recording = [&](const Arrays& primals) {
    auto outputs = function(primals);
    flags.record(outputs, primals);
    return outputs;
  };
  try {
    auto results = transform(recording);
    flags.restore();
    flags.restore(results.second);
    return results;
  } catch (...) {
    flags.restore();
    throw;
  }
}

} // namespace
