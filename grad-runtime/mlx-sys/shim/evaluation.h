// Evaluation that frees the graph behind constants.
#pragma once

#include <unordered_set>
#include <utility>

#include "tracer_flags.h"

namespace {

// Returns the constants that evaluating `outputs` will compute: nodes of stop_gradient.
Arrays pending_constants(const Arrays& outputs) {
  std::unordered_set<uintptr_t> seen;
  Arrays constants, left = outputs;
  while (!left.empty()) {
    array a = std::move(left.back());
    left.pop_back();
    if (a.status() != array::Status::unscheduled || !seen.insert(a.id()).second) {
      continue;
    }
    if (is_stop_gradient(a)) {
      constants.push_back(a);
    }
    left.insert(left.end(), a.inputs().begin(), a.inputs().end());
  }
  return constants;
}

// Runs `evaluate`, which evaluates `outputs`. MLX keeps the graph of an evaluated array that a running transform traces, because
// the transform may differentiate it. No transform differentiates what is behind a constant, so a constant that is evaluated lets
// go of its graph. Until then its flag stays set: an inner transform that ends clears the flags behind it, and finds those that
// it has to restore by way of the constant.
template <typename Evaluate>
void evaluate_in_transform(const Arrays& outputs, Evaluate&& evaluate) {
  // Outside of transforms MLX frees every graph by itself.
  auto constants = running_functions > 0 ? pending_constants(outputs) : Arrays{};
  evaluate();
  for (auto& constant : constants) {
    if (constant.status() != array::Status::unscheduled) {
      constant.set_tracer(false);
      constant.detach();
    }
  }
}

// Evaluates one array.
void evaluate(array a) {
  evaluate_in_transform({a}, [&] { a.eval(); });
}

} // namespace
