// What a transform knows of a function that it has traced.
#pragma once

#include <memory>

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

template <typename Condition>
bool any_input(const array& a, Condition&& condition) {
  return std::any_of(a.inputs().begin(), a.inputs().end(), condition);
}

bool has_any_input(const array& a, const Ids& ids) {
  return any_input(a, [&](const array& input) { return ids.count(input.id()) > 0; });
}

// Returns whether a running transform traces an input of this array.
bool has_traced_input(const array& a) {
  return any_input(a, [](const array& input) { return input.is_tracer(); });
}

// Flags an array and its siblings as traced, or not. MLX keeps the graph of a flagged array when it evaluates it.
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
  Ids visited;
  Arrays alive; // So that no new array has an id in `visited`.
};

// Integers and bools have no derivative.
bool is_differentiable(const array& a) {
  return mx::issubdtype(a.dtype(), mx::inexact);
}

// Visits one array of each operation by which `outputs` depend on `inputs`, in an order in which they can be computed. The second
// argument of `visit` has the ids of all arrays so far that depend on `inputs`; they are also returned. Ends the trace: what depends on `inputs` stays
// flagged only where a transform further out traces it too.
template <typename Visit>
Ids end_trace(const Arrays& inputs, const Arrays& outputs, Visit&& visit) {
  Ids visited, traced;
  for (array input : inputs) {
    visited.insert(input.id());
    traced.insert(input.id());
    input.set_tracer(has_traced_input(input));
  }
  visit_inputs_first(outputs, visited, [&](array& a) {
    if (!has_any_input(a, traced)) {
      return;
    }
    visit(a, traced);
    traced.insert(a.id());
    for (const auto& sibling : a.siblings()) {
      traced.insert(sibling.id());
    }
    flag_as_traced(a, !is_stop_gradient(a) && has_traced_input(a));
  });
  return traced;
}

// An operation. Evaluating its outputs may clear their graph, while these parts stay.
struct Operation {
  std::shared_ptr<mx::Primitive> primitive;
  Arrays inputs, outputs;
};

enum class Follow {
  Derivatives, // What depends on the inputs by floats, and through no constant.
  Everything,
};

// The operations that the outputs of a function depend on its inputs by, in an order in which they can be computed.
class Tape {
 public:
  // Ends the trace of a function.
  Tape(const Arrays& inputs, const Arrays& outputs, Follow follow) {
    auto add = [&](const array& a) {
      if (follow == Follow::Everything || is_differentiable(a)) {
        dependent.insert(a.id());
      }
    };
    std::for_each(inputs.begin(), inputs.end(), add);
    end_trace(inputs, outputs, [&](const array& a, const Ids&) {
      bool is_recorded = follow == Follow::Everything || !is_stop_gradient(a);
      if (is_recorded && has_any_input(a, dependent)) {
        operations.push_back({a.primitive_ptr(), a.inputs(), a.outputs()});
        const auto& outputs = operations.back().outputs;
        std::for_each(outputs.begin(), outputs.end(), add);
      }
    });
  }

  bool depends(const array& a) const {
    return dependent.count(a.id()) > 0;
  }

  // Returns the positions of the inputs of an operation that depend on those of the function.
  std::vector<int> dependent_inputs(const Operation& operation) const {
    std::vector<int> positions;
    for (size_t i = 0; i < operation.inputs.size(); ++i) {
      if (depends(operation.inputs[i])) {
        positions.push_back(static_cast<int>(i));
      }
    }
    return positions;
  }

  std::vector<Operation> operations;

 private:
  Ids dependent;
};

} // namespace
