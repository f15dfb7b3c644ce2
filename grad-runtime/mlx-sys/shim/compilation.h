// Compilation of functions of Rust.
#pragma once

#include <unordered_map>

#include "stack.h"
#include "transforms.h"

namespace {

// Requires that the longest chain of operations fits on this thread's stack: MLX's compiler calls a function for each of them.
void require_depth(const Arrays& inputs, const Arrays& outputs) {
  constexpr size_t FRAME = 256; // On 2 MiB, 10,000 operations fit and 20,000 do not: at most 210 bytes each.
  Marks<size_t> depths;
  for (const auto& input : inputs) {
    depths[input.id()] = 0;
  }
  size_t deepest = 0;
  visit_inputs_first(outputs, depths, [&](const array& a) {
    size_t depth = 0;
    for (const auto& input : a.inputs()) {
      depth = std::max(depth, depths.at(input.id()) + 1);
    }
    for (const auto& output : a.outputs()) {
      depths[output.id()] = depth;
    }
    deepest = std::max(deepest, depth);
  });
  size_t most = remaining_stack() / FRAME;
  if (deepest > most) {
    throw std::invalid_argument(
        "the function is a chain of " + std::to_string(deepest) + " operations, and the stack of this thread allows " +
        std::to_string(most) + "; compile parts of it, or run it on a thread with a larger stack");
  }
}

// Evaluates the arrays that a traced function captured, and puts arrays of the same elements in their place. MLX would take
// their graphs for a part of the function: it rewrites them, although they are the caller's, and refuses them if they hold an
// input of the call. A number that is broadcast stays so, in a copy of the graph: MLX's compiler writes numbers into its kernels,
// and would have those read an array instead, by its strides.
void evaluate_captured(const Arrays& inputs, Arrays& outputs) {
  Marks<bool> marks; // Whether an array depends on `inputs`.
  for (const auto& input : inputs) {
    marks[input.id()] = true;
  }
  auto is_traced = [&](const array& a) { return marks.at(a.id()); };
  Arrays nodes;
  visit_inputs_first(outputs, marks, [&](array& a) {
    if (std::any_of(a.inputs().begin(), a.inputs().end(), is_traced)) {
      for (const auto& output : a.outputs()) {
        marks[output.id()] = true;
      }
      nodes.push_back(a);
    }
  });

  std::vector<array*> uses;
  Arrays captured;
  auto find_captured = [&](Arrays& arrays) {
    for (auto& a : arrays) {
      if (is_traced(a)) {
        continue;
      }
      array* use = &a;
      if (is_operation(a, "Broadcast") && a.inputs()[0].size() == 1) {
        a = array(a.shape(), a.dtype(), a.primitive_ptr(), {a.inputs()[0]});
        use = &a.inputs()[0];
      }
      uses.push_back(use);
      captured.push_back(*use);
    }
  };
  find_captured(outputs);
  for (auto& node : nodes) {
    find_captured(node.inputs());
  }
  evaluate(captured);
  std::unordered_map<uintptr_t, array> shared;
  for (array* use : uses) {
    auto id = use->id();
    *use = shared.try_emplace(id, share_elements(*use)).first->second;
  }
}

} // namespace

extern "C" Transformable* grad_mlx_compile(abi::Callback function, bool shapeless) noexcept {
  return try_or(static_cast<Transformable*>(nullptr), [&] {
    auto traced = [function = to_transformable(function)](const Arrays& inputs) {
      auto outputs = function(inputs);
      // MLX fails where it finds two stopped outputs to be equal. Inside a transform, Rust calls the function itself, so
      // nothing differentiates what is compiled here.
      for (auto& output : outputs) {
        while (is_stop_gradient(output)) {
          output = array(output.inputs()[0]);
        }
      }
      evaluate_captured(inputs, outputs);
      require_depth(inputs, outputs);
      return outputs;
    };
    return new Transformable(mx::compile(traced, shapeless));
  });
}

extern "C" bool grad_mlx_call(
    abi::ArrayVec outputs, const Transformable* function, abi::ArraySlice inputs) noexcept {
  return return_list(outputs, [&] { return (*function)(to_arrays(inputs)); });
}

extern "C" void grad_mlx_free_function(Transformable* function) noexcept {
  delete function;
}
