// Transforms of functions of Rust.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <unordered_set>
#include <utility>

#include "outputs.h"
#include "tracer_flags.h"

namespace {

void require_same_shape(const array& expected, const array& found, const char* what) {
  if (expected.shape() != found.shape()) {
    throw std::invalid_argument(std::string(what) + " must have the shape of the array that it belongs to");
  }
}

// Returns the function as MLX takes it. The last copy frees the state.
Transformable to_transformable(abi::Callback callback) {
  std::shared_ptr<void> state(callback.state, callback.drop);
  return [state, call = callback.call](const Arrays& inputs) {
    TracerFlags::restore_for_call(inputs);
    RunningFunction running;
    std::unique_ptr<Arrays> outputs(call(state.get(), &inputs));
    if (!outputs) {
      throw RustError();
    }
    return std::move(*outputs);
  };
}

// Returns `outputs` with copies of those that are there before. Of an array that is two outputs, mx::vjp reads the first
// cotangent only, and mx::vmap moves the axis twice.
Arrays distinct(Arrays outputs) {
  std::unordered_set<uintptr_t> ids;
  for (auto& output : outputs) {
    if (!ids.insert(output.id()).second) {
      output = mx::copy(output);
    }
  }
  return outputs;
}

// As mx::vjp, which skips outputs whose gradient is stopped and gives the next cotangent to the next output. So it gets the
// cotangents of the other outputs only; it reads them after the function has returned.
std::pair<Arrays, Arrays> vector_jacobian(
    const Transformable& function, const Arrays& primals, const Arrays& cotangents) {
  Arrays wanted;
  auto checked = [&](const Arrays& inputs) {
    auto outputs = distinct(function(inputs));
    if (outputs.size() != cotangents.size()) {
      throw std::invalid_argument(
          "the function returned " + std::to_string(outputs.size()) + " arrays, and there are " +
          std::to_string(cotangents.size()) + " cotangents; give one for each");
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      require_same_shape(outputs[i], cotangents[i], "a cotangent");
      if (!is_stop_gradient(outputs[i])) {
        wanted.push_back(cotangents[i]);
      }
    }
    return outputs;
  };
  return run_nested(checked, [&](const auto& function) { return mx::vjp(function, primals, wanted); });
}

// As mx::jvp.
std::pair<Arrays, Arrays> jacobian_vector(
    const Transformable& function, const Arrays& primals, const Arrays& tangents) {
  return run_nested(function, [&](const auto& function) { return mx::jvp(function, primals, tangents); });
}

// As mx::vmap.
Arrays map(const Transformable& function, const Arrays& inputs, const std::vector<int>& axes) {
  return mx::vmap([&](const Arrays& inputs) { return distinct(function(inputs)); }, axes)(inputs);
}

// Lists

template <typename T>
std::vector<T> concat(std::vector<T> first, const std::vector<T>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// Returns the first `count` arrays, and the others.
std::pair<Arrays, Arrays> split_at(const Arrays& arrays, size_t count) {
  return {Arrays(arrays.begin(), arrays.begin() + count), Arrays(arrays.begin() + count, arrays.end())};
}

// Functions that MLX calls more than once

// A function that must return arrays of the same shapes each time.
struct SameShapes {
  Transformable function;
  std::shared_ptr<std::optional<std::vector<mx::Shape>>> shapes =
      std::make_shared<std::optional<std::vector<mx::Shape>>>();

  Arrays operator()(const Arrays& inputs) const {
    return check(function(inputs), "the function must return arrays of the same shapes each time");
  }

  Arrays check(Arrays outputs, const char* message) const {
    std::vector<mx::Shape> found;
    for (const auto& output : outputs) {
      found.push_back(output.shape());
    }
    if (shapes->value_or(found) != found) {
      throw std::invalid_argument(message);
    }
    if (found.empty()) {
      throw std::invalid_argument("the function returned no arrays; return one or more");
    }
    *shapes = std::move(found);
    return outputs;
  }
};

// Checks the cotangents that a user's derivative returned for `primals`, and converts them to their dtypes.
Arrays match_primals(const Arrays& primals, Arrays found) {
  if (found.size() != primals.size()) {
    throw std::invalid_argument(
        "there must be a cotangent for each of " + std::to_string(primals.size()) + " arrays, not " +
        std::to_string(found.size()));
  }
  for (size_t i = 0; i < primals.size(); ++i) {
    require_same_shape(primals[i], found[i], "a cotangent");
    found[i] = mx::astype(found[i], primals[i].dtype());
  }
  return found;
}

using Backward = std::function<Arrays(const Arrays& primals, const Arrays& cotangents, const Arrays& outputs)>;
// Takes a tangent for each primal.
using Forward = std::function<Arrays(const Arrays& primals, const Arrays& tangents)>;

// Returns a tangent for each primal: zeros, but for the primals `argnums`, which have `tangents`. MLX numbers the outputs
// after the primals; they have no tangents.
Arrays expand_tangents(const Arrays& primals, const Arrays& tangents, const std::vector<int>& argnums) {
  Arrays all;
  for (const auto& primal : primals) {
    all.push_back(mx::zeros_like(primal));
  }
  for (size_t i = 0; i < argnums.size(); ++i) {
    if (static_cast<size_t>(argnums[i]) < all.size()) {
      all[argnums[i]] = tangents[i];
    }
  }
  return all;
}

Backward vmap_backward(const Backward& backward, const std::vector<int>& axes) {
  return [backward, axes](const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
    auto of_one = [&](const Arrays& given) {
      auto [one, others] = split_at(given, primals.size());
      auto [cotangents_of_one, outputs_of_one] = split_at(others, cotangents.size());
      return backward(one, cotangents_of_one, outputs_of_one);
    };
    // Outputs are mapped over axis 0.
    auto all_axes = concat(axes, std::vector<int>(cotangents.size() + outputs.size(), 0));
    auto found = map(of_one, concat(concat(primals, cotangents), outputs), all_axes);
    for (size_t i = 0; i < found.size(); ++i) {
      found[i] = axes[i] < 0 ? mx::sum(found[i], 0) : mx::moveaxis(found[i], 0, axes[i]);
    }
    return found;
  };
}

Forward vmap_forward(const Forward& forward, const std::vector<int>& axes) {
  return [forward, axes](const Arrays& primals, const Arrays& tangents) {
    auto of_one = [&](const Arrays& given) {
      auto [one, tangents_of_one] = split_at(given, primals.size());
      return forward(one, tangents_of_one);
    };
    return map(of_one, concat(primals, tangents), concat(axes, axes));
  };
}

// Returns `function` with its own derivatives where they are given, and derived ones elsewhere. Under mx::vmap they are mapped too; MLX's own custom
// functions lose them there.
Transformable with_derivatives(const Transformable& function, const Backward& backward, const Forward& forward) {
  return [=](const Arrays& inputs) {
    auto vjp = [function, backward](const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
      TracerFlags::restore_for_call(concat(concat(primals, cotangents), outputs));
      return backward ? backward(primals, cotangents, outputs) : vector_jacobian(function, primals, cotangents).second;
    };
    auto jvp = [function, forward](const Arrays& primals, const Arrays& tangents, const std::vector<int>& argnums) {
      auto all_tangents = expand_tangents(primals, tangents, argnums);
      TracerFlags::restore_for_call(concat(primals, all_tangents));
      TracedAgain traced_again;
      return forward ? forward(primals, all_tangents) : jacobian_vector(function, primals, all_tangents).second;
    };
    auto vmap = [function, backward, forward](const Arrays& inputs, const std::vector<int>& axes) {
      if (std::all_of(axes.begin(), axes.end(), [](int axis) { return axis < 0; })) {
        throw std::invalid_argument("the function has captured an array that is mapped: make it an input");
      }
      auto outputs = with_derivatives(
          [function, axes](const Arrays& inputs) { return map(function, inputs, axes); },
          backward ? vmap_backward(backward, axes) : backward,
          forward ? vmap_forward(forward, axes) : forward)(inputs);
      std::vector<int> output_axes(outputs.size(), 0);
      return std::make_pair(std::move(outputs), std::move(output_axes));
    };
    return mx::custom_function(function, vjp, jvp, vmap)(inputs);
  };
}

// Returns `arrays`, to be computed after `dependencies`. Not mx::depends, which has neither a jvp nor a vmap: this is a
// custom function that returns its first inputs and waits for all of them.
Arrays depend_on(const Arrays& arrays, const Arrays& dependencies) {
  if (arrays.empty()) {
    return arrays;
  }
  auto count = arrays.size();
  auto first = [count](const Arrays& inputs) { return split_at(inputs, count).first; };
  auto vjp = [](const Arrays& inputs, Arrays cotangents, const Arrays&) {
    for (size_t i = cotangents.size(); i < inputs.size(); ++i) {
      cotangents.push_back(mx::zeros_like(inputs[i]));
    }
    return cotangents;
  };
  auto jvp = [count](const Arrays& inputs, const Arrays& tangents, const std::vector<int>& argnums) {
    return split_at(expand_tangents(inputs, tangents, argnums), count).first;
  };
  auto vmap = [count](const Arrays& inputs, const std::vector<int>& axes) {
    auto [arrays, dependencies] = split_at(inputs, count);
    return std::make_pair(depend_on(arrays, dependencies), std::vector<int>(axes.begin(), axes.begin() + count));
  };
  return mx::custom_function(first, vjp, jvp, vmap)(concat(arrays, dependencies));
}

} // namespace

extern "C" Arrays* grad_mlx_vjp(abi::Callback function, abi::ArraySlice primals, abi::ArraySlice cotangents) noexcept {
  return return_arrays([&] {
    auto [outputs, results] = vector_jacobian(to_transformable(function), to_arrays(primals), to_arrays(cotangents));
    return concat(std::move(outputs), results);
  });
}

extern "C" Arrays* grad_mlx_jvp(abi::Callback function, abi::ArraySlice primals, abi::ArraySlice tangents) noexcept {
  return return_arrays([&] {
    auto [outputs, results] = jacobian_vector(to_transformable(function), to_arrays(primals), to_arrays(tangents));
    return concat(std::move(outputs), results);
  });
}

extern "C" Arrays* grad_mlx_vmap(abi::Callback function, abi::ArraySlice inputs, abi::IntSlice axes) noexcept {
  return return_arrays([&] { return map(to_transformable(function), to_arrays(inputs), to_ints(axes)); });
}

extern "C" Arrays* grad_mlx_checkpoint(abi::Callback function, abi::ArraySlice inputs) noexcept {
  return return_arrays([&] {
    SameShapes forward{to_transformable(function)};
    // Not mx::checkpoint, which gives cotangents to the wrong outputs where one is stopped.
    auto backward = [forward](const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
      return vector_jacobian(forward, depend_on(primals, outputs), cotangents).second;
    };
    return with_derivatives(forward, backward, nullptr)(to_arrays(inputs));
  });
}

extern "C" Arrays* grad_mlx_custom(
    abi::Callback function, abi::Callback backward, abi::Callback forward, abi::ArraySlice inputs) noexcept {
  return return_arrays([&] {
    SameShapes original{to_transformable(function)};
    Backward vjp;
    Forward jvp;
    if (backward.state) {
      vjp = [backward = to_transformable(backward)](
                const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
        return match_primals(primals, backward(concat(concat(primals, cotangents), outputs)));
      };
    }
    if (forward.state) {
      jvp = [original, forward = to_transformable(forward)](const Arrays& primals, const Arrays& tangents) {
        return original.check(
            forward(concat(primals, tangents)), "there must be a tangent, of the same shape, for each output");
      };
    }
    return with_derivatives(original, vjp, jvp)(to_arrays(inputs));
  });
}
