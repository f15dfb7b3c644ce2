// The marks of what transforms trace, which MLX loses where one stands inside of another.
#pragma once

#include <algorithm>
#include <functional>
#include <unordered_set>
#include <utility>

#include "base.h"

using Transformable = std::function<Arrays(const Arrays&)>;

namespace {

// How many functions of Rust are running on this thread, one inside the other.
thread_local int running = 0;

struct Running {
  Running() {
    ++running;
  }
  ~Running() {
    --running;
  }
};

bool has_traced_input(const array& a) {
  return std::any_of(a.inputs().begin(), a.inputs().end(), [](const array& input) { return input.is_tracer(); });
}

// What the transforms around trace, of all that `outputs` were made of: where their traces begin. `primals` are those of
// the transform that is running.
Arrays traced_further_out(const Arrays& outputs, const Arrays& primals) {
  std::unordered_set<uintptr_t> of_this_one, seen;
  for (const auto& primal : primals) {
    of_this_one.insert(primal.id());
  }
  Arrays begin, left = outputs;
  while (!left.empty()) {
    array a = std::move(left.back());
    left.pop_back();
    if (!a.is_tracer() || !seen.insert(a.id()).second) {
      continue;
    }
    if (has_traced_input(a)) {
      left.insert(left.end(), a.inputs().begin(), a.inputs().end());
    } else if (of_this_one.count(a.id()) == 0) {
      begin.push_back(std::move(a));
    }
  }
  return begin;
}

// What a transform owes to those around it. MLX marks what a running transform traces, and takes the mark from all that an
// inner one touched, the arrays of the transforms around among them: whoever then looked at the elements of such an array
// would take it out of their graph. So they are marked again.
class Marks {
 public:
  Marks() : around(std::exchange(innermost, this)) {}
  ~Marks() {
    innermost = around;
  }
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;

  // The function has returned, and the marks are about to be taken.
  void note(const Arrays& outputs, const Arrays& primals) {
    if (running > 0) {
      begin = traced_further_out(outputs, primals);
    }
  }

  // Marks what `ends` were made of, as far as the transforms around trace it. Each array is seen to once.
  void again(const Arrays& ends) {
    if (begin.empty()) {
      return;
    }
    for (auto& a : begin) {
      a.set_tracer(true);
    }
    std::vector<std::pair<array, size_t>> path;
    auto enter = [&](const array& a) {
      if (known.insert(a.id()).second) {
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
        if (has_traced_input(a)) {
          for (auto& output : a.outputs()) {
            output.set_tracer(true);
          }
        }
        path.pop_back();
      }
    }
  }

  // For a function that MLX runs after it has taken the marks.
  static void before_a_call(const Arrays& inputs) {
    if (innermost) {
      innermost->again(inputs);
    }
  }

 private:
  static inline thread_local Marks* innermost = nullptr;
  Marks* around;
  Arrays begin;
  std::unordered_set<uintptr_t> known;
  // So that an address stays that of its array.
  Arrays alive;
};

// Runs a transform of `function`, which may stand inside of others.
template <typename Transform>
std::pair<Arrays, Arrays> inside_of_others(const Transformable& function, Transform transform) {
  Marks marks;
  Arrays outputs;
  auto noting = [&](const Arrays& primals) {
    outputs = function(primals);
    marks.note(outputs, primals);
    return outputs;
  };
  try {
    auto results = transform(noting);
    marks.again(results.first);
    marks.again(results.second);
    return results;
  } catch (...) {
    marks.again(outputs);
    throw;
  }
}

} // namespace
