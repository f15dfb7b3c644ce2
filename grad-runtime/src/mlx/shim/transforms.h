// Transforms of Rust functions.
#pragma once

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base.h"
#include "marks.h"

// A function of Rust as it crosses: `call` takes the inputs on loan and returns outputs that it gives away, or null if it
// failed; `drop` frees the state.
struct Function {
  void* state;
  Arrays* (*call)(void* state, const Arrays* inputs);
  void (*drop)(void* state);
};

namespace {

bool is_stopped(const array& a) {
  return a.has_primitive() && std::strcmp(a.primitive().name(), "StopGradient") == 0;
}

void require_same(const array& expected, const array& found, const char* what) {
  if (expected.shape() != found.shape()) {
    throw std::invalid_argument(std::string(what) + " must have the shape of what it belongs to");
  }
}

// The function as MLX takes it. The last copy drops the state.
Transformable owned(Function function) {
  std::shared_ptr<void> state(function.state, function.drop);
  return [state, call = function.call](const Arrays& inputs) {
    Marks::before_a_call(inputs);
    Running here;
    std::unique_ptr<Arrays> outputs(call(state.get(), &inputs));
    if (!outputs) {
      throw RustFailed();
    }
    return std::move(*outputs);
  };
}

// MLX passes over outputs whose gradient is stopped, and gives the next cotangent to the next output. So it gets the
// cotangents of the others only; it reads them when the function has returned. Of an array that is two outputs it reads
// the first cotangent only, so the second is a copy.
std::pair<Arrays, Arrays> vector_jacobian(const Transformable& function, const Arrays& primals, const Arrays& cotangents) {
  Arrays wanted;
  std::unordered_set<uintptr_t> distinct;
  auto traced = [&](const Arrays& inputs) {
    auto outputs = function(inputs);
    if (outputs.size() != cotangents.size()) {
      throw std::invalid_argument(
          "the function returned " + std::to_string(outputs.size()) + " arrays, and there are " +
          std::to_string(cotangents.size()) + " cotangents");
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      require_same(outputs[i], cotangents[i], "a cotangent");
      if (!is_stopped(outputs[i])) {
        wanted.push_back(cotangents[i]);
        if (!distinct.insert(outputs[i].id()).second) {
          outputs[i] = mx::copy(outputs[i]);
        }
      }
    }
    return outputs;
  };
  return inside_of_others(traced, [&](const auto& function) { return mx::vjp(function, primals, wanted); });
}

Arrays joined(Arrays first, const Arrays& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// A function that MLX calls more than once, which must return arrays of the same shapes each time.
struct Repeatable {
  Transformable function;
  std::shared_ptr<std::optional<std::vector<mx::Shape>>> shapes = std::make_shared<std::optional<std::vector<mx::Shape>>>();

  Arrays operator()(const Arrays& inputs) const {
    return checked(function(inputs), "the function must return arrays of the same shapes each time");
  }

  Arrays checked(Arrays outputs, const char* otherwise) const {
    std::vector<mx::Shape> found;
    for (const auto& output : outputs) {
      found.push_back(output.shape());
    }
    if (shapes->value_or(found) != found) {
      throw std::invalid_argument(otherwise);
    }
    if (found.empty()) {
      throw std::invalid_argument("the function returned no arrays");
    }
    *shapes = std::move(found);
    return outputs;
  }
};

// What a function of the user's made for each of `likes`.
Arrays like(const Arrays& likes, Arrays found, const char* what) {
  if (found.size() != likes.size()) {
    throw std::invalid_argument(
        std::string("there must be ") + what + " for each of " + std::to_string(likes.size()) + " arrays, not " +
        std::to_string(found.size()));
  }
  for (size_t i = 0; i < likes.size(); ++i) {
    require_same(likes[i], found[i], what);
    found[i] = mx::astype(found[i], likes[i].dtype());
  }
  return found;
}

using Backward = std::function<Arrays(const Arrays& primals, const Arrays& cotangents, const Arrays& outputs)>;
// Of a tangent for each primal.
using Forward = std::function<Arrays(const Arrays& primals, const Arrays& tangents)>;

std::vector<int> joined(std::vector<int> first, const std::vector<int>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// The part of `arrays` from `at` on, and before.
std::pair<Arrays, Arrays> split(const Arrays& arrays, size_t at) {
  return {Arrays(arrays.begin(), arrays.begin() + at), Arrays(arrays.begin() + at, arrays.end())};
}

// Tangents of `primals`, of which those at `moving` have `tangents`. Beyond the primals there are the outputs, which do
// not move by themselves.
Arrays for_each(const Arrays& primals, const Arrays& tangents, const std::vector<int>& moving) {
  Arrays every;
  for (const auto& primal : primals) {
    every.push_back(mx::zeros_like(primal));
  }
  for (size_t i = 0; i < moving.size(); ++i) {
    if (static_cast<size_t>(moving[i]) < every.size()) {
      every[moving[i]] = tangents[i];
    }
  }
  return every;
}

Backward mapped(const Backward& backward, const std::vector<int>& axes) {
  return [backward, axes](const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
    auto of_one = [&](const Arrays& given) {
      auto [one, others] = split(given, primals.size());
      auto [cotangents_of_one, outputs_of_one] = split(others, cotangents.size());
      return backward(one, cotangents_of_one, outputs_of_one);
    };
    // Outputs are mapped over axis 0.
    auto every = joined(axes, std::vector<int>(cotangents.size() + outputs.size(), 0));
    auto found = mx::vmap(of_one, every)(joined(joined(primals, cotangents), outputs));
    for (size_t i = 0; i < found.size(); ++i) {
      found[i] = axes[i] < 0 ? mx::sum(found[i], 0) : mx::moveaxis(found[i], 0, axes[i]);
    }
    return found;
  };
}

Forward mapped(const Forward& forward, const std::vector<int>& axes) {
  return [forward, axes](const Arrays& primals, const Arrays& tangents) {
    auto of_one = [&](const Arrays& given) {
      auto [one, tangents_of_one] = split(given, primals.size());
      return forward(one, tangents_of_one);
    };
    return mx::vmap(of_one, joined(axes, axes))(joined(primals, tangents));
  };
}

// `function` with derivatives of its own, where they are given: MLX's vmap would forget them.
Transformable with_derivatives(const Transformable& function, const Backward& backward, const Forward& forward) {
  return [=](const Arrays& inputs) {
    auto of_vjp = [function, backward](const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
      Marks::before_a_call(joined(joined(primals, cotangents), outputs));
      return backward ? backward(primals, cotangents, outputs)
                      : vector_jacobian(function, primals, cotangents).second;
    };
    std::optional<std::function<Arrays(const Arrays&, const Arrays&, const std::vector<int>&)>> of_jvp;
    if (forward) {
      of_jvp = [forward](const Arrays& primals, const Arrays& tangents, const std::vector<int>& moving) {
        return forward(primals, for_each(primals, tangents, moving));
      };
    }
    auto of_vmap = [function, backward, forward](const Arrays& inputs, const std::vector<int>& axes) {
      if (std::all_of(axes.begin(), axes.end(), [](int axis) { return axis < 0; })) {
        throw std::invalid_argument("the function has captured an array that is mapped: make it an input");
      }
      auto outputs = with_derivatives(
          mx::vmap(function, axes),
          backward ? mapped(backward, axes) : backward,
          forward ? mapped(forward, axes) : forward)(inputs);
      std::vector<int> first(outputs.size(), 0);
      return std::make_pair(std::move(outputs), std::move(first));
    };
    return mx::custom_function(function, of_vjp, of_jvp, of_vmap)(inputs);
  };
}

// `arrays`, not to be had before `dependencies`. Not mx::depends, which has neither a jvp nor a vmap: here the ways of a
// custom function are those of the identity, which waits for its inputs, used or not.
Arrays after(const Arrays& arrays, const Arrays& dependencies) {
  if (arrays.empty()) {
    return arrays;
  }
  auto count = arrays.size();
  auto first = [count](const Arrays& inputs) { return split(inputs, count).first; };
  auto of_vjp = [](const Arrays& inputs, Arrays cotangents, const Arrays&) {
    for (size_t i = cotangents.size(); i < inputs.size(); ++i) {
      cotangents.push_back(mx::zeros_like(inputs[i]));
    }
    return cotangents;
  };
  auto of_jvp = [count](const Arrays& inputs, const Arrays& tangents, const std::vector<int>& moving) {
    return split(for_each(inputs, tangents, moving), count).first;
  };
  auto of_vmap = [count](const Arrays& inputs, const std::vector<int>& axes) {
    auto [arrays, dependencies] = split(inputs, count);
    return std::make_pair(after(arrays, dependencies), std::vector<int>(axes.begin(), axes.begin() + count));
  };
  return mx::custom_function(first, of_vjp, of_jvp, of_vmap)(joined(arrays, dependencies));
}

} // namespace

// The outputs, and then a cotangent for each primal.
API Arrays* grad_mlx_vjp(Function function, List primals, List cotangents) {
  return made_list([&] {
    auto [outputs, results] = vector_jacobian(owned(function), to_arrays(primals), to_arrays(cotangents));
    return joined(std::move(outputs), results);
  });
}

// The outputs, and then a tangent for each of them.
API Arrays* grad_mlx_jvp(Function function, List primals, List tangents) {
  return made_list([&] {
    auto jacobian_vector = [&](const auto& function) {
      return mx::jvp(function, to_arrays(primals), to_arrays(tangents));
    };
    auto [outputs, results] = inside_of_others(owned(function), jacobian_vector);
    return joined(std::move(outputs), results);
  });
}

// Mapped over `axes` of the inputs, -1 for none, and over axis 0 of the outputs.
API Arrays* grad_mlx_vmap(Function function, List inputs, Numbers axes) {
  return made_list([&] { return mx::vmap(owned(function), to_integers(axes))(to_arrays(inputs)); });
}

API Transformable* grad_mlx_compile(Function function, bool shapeless) {
  return guarded(static_cast<Transformable*>(nullptr), [&] {
    // MLX fails where it finds two outputs to be equal that are stopped. Nothing differentiates what is compiled, since
    // inside a transform Rust calls the function itself.
    auto unstopped = [function = owned(function)](const Arrays& inputs) {
      auto outputs = function(inputs);
      for (auto& output : outputs) {
        while (is_stopped(output)) {
          output = array(output.inputs()[0]);
        }
      }
      return outputs;
    };
    return new Transformable(mx::compile(unstopped, shapeless));
  });
}

API Arrays* grad_mlx_call(const Transformable* function, List inputs) {
  return made_list([&] { return (*function)(to_arrays(inputs)); });
}

API void grad_mlx_free_function(Transformable* function) noexcept {
  delete function;
}

// `function` now, and once more when its gradient is taken, in place of keeping what it made.
API Arrays* grad_mlx_checkpoint(Function function, List inputs) {
  return made_list([&] {
    auto again = Repeatable{owned(function)};
    // Not mx::checkpoint, which gives cotangents to the wrong outputs where one is stopped.
    auto backward = [again](const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
      return vector_jacobian(again, after(primals, outputs), cotangents).second;
    };
    return with_derivatives(again, backward, nullptr)(to_arrays(inputs));
  });
}

// `function`, whose cotangents of the primals `backward` makes of primals, cotangents and outputs, and whose tangents
// `forward` makes of primals and tangents; without a state they are derived.
API Arrays* grad_mlx_custom(Function function, Function backward, Function forward, List inputs) {
  return made_list([&] {
    auto original = Repeatable{owned(function)};
    Backward of_vjp;
    Forward of_jvp;
    if (backward.state) {
      of_vjp = [backward = owned(backward)](const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
        return like(primals, backward(joined(joined(primals, cotangents), outputs)), "a cotangent");
      };
    }
    if (forward.state) {
      of_jvp = [original, forward = owned(forward)](const Arrays& primals, const Arrays& tangents) {
        return original.checked(
            forward(joined(primals, tangents)), "there must be a tangent, of the same shape, for each output");
      };
    }
    return with_derivatives(original, of_vjp, of_jvp)(to_arrays(inputs));
  });
}
