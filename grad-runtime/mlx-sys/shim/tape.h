// What a transform knows of a function that it has traced.
#pragma once

#include <memory>

#include "flags.h"
#include "graph.h"

namespace {

// Integers and bools have no derivative.
bool is_differentiable(const array& a) {
  return mx::issubdtype(a.dtype(), mx::inexact);
}

enum class Follow {
  Derivatives, // What depends on the inputs by floats, and through no constant.
  Everything,
};

// How an array depends on the inputs of a function.
enum class Dependence : char { None, NotFollowed, Followed };

// Visits one array of each operation by which `outputs` depend on `inputs`, in an order in which they can be computed, and tells
// whether it is to be followed. Ends the trace: what depends on `inputs` stays flagged only where a transform further out traces
// it too. Returns how each array depends on `inputs`.
template <typename Visit>
Marks<Dependence> end_trace(const Arrays& inputs, const Arrays& outputs, Follow follow, Visit&& visit) {
  auto strongest_of = [&](const array& a) {
    return follow == Follow::Everything || is_differentiable(a) ? Dependence::Followed : Dependence::NotFollowed;
  };
  Marks<Dependence> marks;
  for (array input : inputs) {
    marks[input.id()] = strongest_of(input);
    input.set_tracer(has_traced_input(input));
  }
  visit_inputs_first(outputs, marks, [&](array& a) {
    auto dependence = Dependence::None;
    for (const auto& input : a.inputs()) {
      dependence = std::max(dependence, marks.at(input.id()));
    }
    if (dependence == Dependence::None) {
      return;
    }
    bool is_constant = is_stop_gradient(a);
    if (is_constant && follow == Follow::Derivatives) {
      dependence = Dependence::NotFollowed;
    }
    visit(a, marks, dependence == Dependence::Followed);
    marks[a.id()] = std::min(dependence, strongest_of(a));
    for (const auto& sibling : a.siblings()) {
      marks[sibling.id()] = std::min(dependence, strongest_of(sibling));
    }
    flag_as_traced(a, !is_constant && has_traced_input(a));
  });
  return marks;
}

// An operation. Evaluating its outputs may clear their graph, while these parts stay.
struct Operation {
  std::shared_ptr<mx::Primitive> primitive;
  Arrays inputs, outputs;
  std::vector<int> followed; // The positions of the inputs that depend on those of the function.
};

// The operations by which the outputs of a function depend on its inputs, in an order in which they can be computed.
class Tape {
 public:
  // Ends the trace of a function.
  Tape(const Arrays& inputs, const Arrays& outputs, Follow follow) {
    marks = end_trace(inputs, outputs, follow, [&](array& a, const auto& marks, bool is_followed) {
      if (!is_followed) {
        return;
      }
      std::vector<int> followed;
      for (size_t i = 0; i < a.inputs().size(); ++i) {
        if (marks.at(a.inputs()[i].id()) == Dependence::Followed) {
          followed.push_back(static_cast<int>(i));
        }
      }
      operations.push_back({a.primitive_ptr(), a.inputs(), a.outputs(), std::move(followed)});
    });
  }

  bool follows(const array& a) const {
    auto mark = marks.find(a.id());
    return mark != marks.end() && mark->second == Dependence::Followed;
  }

  std::vector<Operation> operations;

 private:
  Marks<Dependence> marks;
};

} // namespace
