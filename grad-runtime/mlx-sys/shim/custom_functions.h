// Functions with derivatives of their own.
#pragma once

#include "transforms.h"

namespace {

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

// Returns a tangent for each primal: zeros, but for the primals `argnums`, which have `tangents`. MLX numbers the outputs
// after the primals; they have no tangents.
Arrays expand_tangents(const Arrays& primals, const Arrays& tangents, const std::vector<int>& argnums) {
  Arrays all = zeros_like(primals);
  for (size_t i = 0; i < argnums.size(); ++i) {
    if (static_cast<size_t>(argnums[i]) < all.size()) {
      all[argnums[i]] = tangents[i];
    }
  }
  return all;
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

// Returns `function` with what it captures as constants, to transforms further out too.
Transformable closed(const Transformable& function) {
  return [function](const Arrays& given) {
    auto inputs = traced_copies(given);
    auto outputs = function(inputs);
    auto close = [](Arrays& arrays, const Marks<Dependence>& marks) {
      for (auto& a : arrays) {
        auto mark = marks.find(a.id());
        bool is_captured = mark == marks.end() || mark->second == Dependence::None;
        if (!is_captured || !a.is_tracer()) {
          continue;
        }
        if (a.status() == array::Status::unscheduled) {
          a = constant(a);
        } else {
          // What depends on it may be evaluated too, and MLX takes the inputs of an evaluated array to be evaluated.
          a.wait();
          a = share_elements(a);
        }
      }
    };
    auto marks = end_trace(
        inputs, outputs, Follow::Everything, [&](array& a, const auto& marks, bool) { close(a.inputs(), marks); });
    close(outputs, marks);
    return outputs;
  };
}

// What a function has instead of derived derivatives. Each may be null.
struct OwnDerivatives {
  Transformable backward; // Takes primals, cotangents and outputs; returns a cotangent for each primal.
  Transformable forward;  // Takes primals, and a tangent for each; returns one for each output.
  // To derive what is not given, compute the function again, when a transform has got to its cotangents.
  bool recomputes = false;

  OwnDerivatives map(const std::vector<int>& axes) const {
    OwnDerivatives mapped{nullptr, nullptr, recomputes};
    if (backward) {
      mapped.backward = [backward = backward, axes](const Arrays& given) {
        // Cotangents and outputs are mapped over axis 0.
        auto all_axes = concat(axes, std::vector<int>(given.size() - axes.size(), 0));
        auto found = ::map(backward, given, all_axes);
        for (size_t i = 0; i < std::min(found.size(), axes.size()); ++i) {
          found[i] = axes[i] == NOT_MAPPED ? mx::sum(found[i], 0) : mx::moveaxis(found[i], 0, axes[i]);
        }
        return found;
      };
    }
    if (forward) {
      mapped.forward = [forward = forward, axes](const Arrays& given) {
        return ::map(forward, given, concat(axes, axes));
      };
    }
    return mapped;
  }
};

// Returns `function` with derivatives of its own. When it is mapped they are mapped too; MLX's custom functions lose them there.
Transformable with_derivatives(const Transformable& function, const OwnDerivatives& own) {
  return [=](const Arrays& inputs) {
    auto vjp = [=](const Arrays& primals, const Arrays& cotangents, const Arrays& outputs) {
      if (own.backward) {
        auto all = concat(concat(primals, cotangents), outputs);
        return match_primals(primals, closed(own.backward)(all));
      }
      auto at = own.recomputes ? depend_on(primals, outputs) : primals;
      return vector_jacobian(closed(function), at, cotangents).second;
    };
    auto jvp = [=](const Arrays& primals, const Arrays& some_tangents, const std::vector<int>& argnums) {
      auto tangents = expand_tangents(primals, some_tangents, argnums);
      if (own.forward) {
        return closed(own.forward)(concat(primals, tangents));
      }
      return jacobian_vector(closed(function), primals, tangents).second;
    };
    auto vmap = [=](const Arrays& inputs, const std::vector<int>& axes) {
      if (std::all_of(axes.begin(), axes.end(), [](int axis) { return axis == NOT_MAPPED; })) {
        throw captured_placeholder();
      }
      auto mapped = [=](const Arrays& inputs) {
        auto outputs = map(function, inputs, axes);
        require_no_placeholder(outputs);
        return outputs;
      };
      auto outputs = with_derivatives(mapped, own.map(axes))(inputs);
      std::vector<int> output_axes(outputs.size(), 0);
      return std::make_pair(std::move(outputs), std::move(output_axes));
    };
    return mx::custom_function(function, vjp, jvp, vmap)(inputs);
  };
}

} // namespace

extern "C" bool grad_mlx_checkpoint(
    abi::ArrayVec outputs, abi::Callback function, abi::ArraySlice inputs) noexcept {
  return return_list(outputs, [&] {
    OwnDerivatives own;
    own.recomputes = true;
    return with_derivatives(SameShapes{to_transformable(function)}, own)(to_arrays(inputs));
  });
}

extern "C" bool grad_mlx_custom(
    abi::ArrayVec outputs,
    abi::Callback function,
    abi::Callback backward,
    abi::Callback forward,
    abi::ArraySlice inputs) noexcept {
  return return_list(outputs, [&] {
    SameShapes original{to_transformable(function)};
    OwnDerivatives own;
    if (backward.state) {
      own.backward = to_transformable(backward);
    }
    if (forward.state) {
      own.forward = [original, forward = to_transformable(forward)](const Arrays& inputs) {
        return original.check(forward(inputs), "there must be a tangent, of the same shape, for each output");
      };
    }
    return with_derivatives(original, own)(to_arrays(inputs));
  });
}
