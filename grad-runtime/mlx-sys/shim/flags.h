// The flags by which MLX knows what running transforms trace: it keeps the graph of a flagged array when it evaluates it.
#pragma once

#include <algorithm>

#include "graph.h"

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

// Returns whether a running transform traces an input of this array.
bool has_traced_input(const array& a) {
  const auto& inputs = a.inputs();
  return std::any_of(inputs.begin(), inputs.end(), [](const array& input) { return input.is_tracer(); });
}

// Flags an array and its siblings as traced, or not.
void flag_as_traced(array& a, bool is_traced) {
  a.set_tracer(is_traced);
  for (auto& sibling : a.siblings()) {
    sibling.set_tracer(is_traced);
  }
}

// Flags arrays that depend on what a transform further out traces. MLX's own transforms, which the derivatives of some operations
// run, leave them unflagged.
class Flagging {
 public:
  void operator()(const Arrays& arrays) {
    if (running_functions == 0) {
      return;
    }
    alive.insert(alive.end(), arrays.begin(), arrays.end());
    visit_inputs_first(arrays, visited, [](array& a) {
      if (!is_stop_gradient(a) && has_traced_input(a)) {
        flag_as_traced(a, true);
      }
    });
  }

 private:
  Marks<char> visited;
  Arrays alive; // So that no new array has an id in `visited`.
};

} // namespace
