// The graphs behind arrays.
#pragma once

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "convert.h"
#include "mlx/primitives.h"

namespace {

// What is known of the arrays that have been visited, by id.
template <typename Mark>
using Marks = std::unordered_map<uintptr_t, Mark>;

bool is_operation(const array& a, const char* name) {
  return a.has_primitive() && std::strcmp(a.primitive().name(), name) == 0;
}

// Returns whether an array is a constant to every transform.
bool is_stop_gradient(const array& a) {
  return is_operation(a, "StopGradient");
}

mx::Stream stream_of(const array& a) {
  return a.has_primitive() ? a.primitive().stream() : mx::default_stream(mx::default_device());
}

// Returns a constant of the same elements. It is not flagged as traced, so evaluating it frees the graph behind it.
array constant(const array& a) {
  array result = mx::stop_gradient(a, stream_of(a));
  result.set_tracer(false);
  return result;
}

// Returns an array with the elements of an evaluated one.
array share_elements(const array& evaluated) {
  array shared(evaluated.shape(), evaluated.dtype(), nullptr, {});
  shared.copy_shared_buffer(evaluated);
  shared.set_status(array::Status::available);
  return shared;
}

// Calls `visit` for one array of each operation behind `ends`, after those of its inputs. Goes no further at the arrays in `marks`,
// to which it adds the others.
template <typename Mark, typename Visit>
void visit_inputs_first(const Arrays& ends, Marks<Mark>& marks, Visit&& visit) {
  // An array, and the next of its inputs. A chain of operations may be too long to call a function for each.
  std::vector<std::pair<array*, size_t>> path;
  auto enter = [&](const array& a) {
    if (!marks.try_emplace(a.id()).second) {
      return;
    }
    for (const auto& sibling : a.siblings()) {
      marks.try_emplace(sibling.id());
    }
    path.emplace_back(const_cast<array*>(&a), 0);
  };
  for (const auto& end : ends) {
    enter(end);
    while (!path.empty()) {
      auto& [a, next] = path.back();
      if (next < a->inputs().size()) {
        enter(a->inputs()[next++]);
        continue;
      }
      visit(*a);
      path.pop_back();
    }
  }
}

} // namespace
