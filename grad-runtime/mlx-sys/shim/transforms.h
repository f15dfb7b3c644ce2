// Transforms of functions. MLX's own call a function for each operation of a chain, which overflows the stack where it is long,
// and clear the flags of what transforms further out trace.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

#include "derivatives.h"
#include "mlx/transforms_impl.h"
#include "outputs.h"

namespace {

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

void require_same_shape(const array& expected, const array& found, const char* what) {
  if (expected.shape() != found.shape()) {
    throw std::invalid_argument(std::string(what) + " must have the shape of the array that it belongs to");
  }
}

// Returns the function as MLX takes it. The last copy frees the state.
Transformable to_transformable(abi::Callback callback) {
  std::shared_ptr<void> state(callback.state, callback.drop);
  return [state, call = callback.call](const Arrays& inputs) {
    RunningFunction running;
    Arrays outputs;
    if (!call(state.get(), {inputs.data(), inputs.size()}, &outputs)) {
      throw RustError();
    }
    return outputs;
  };
}

// Calls `f` in the function of one of MLX's transforms, which gets no arrays: MLX keeps flagged graphs only while one runs.
template <typename Transform, typename F>
auto while_running(Transform&& transform, F&& f) {
  std::optional<decltype(f())> result;
  transform([&](const Arrays&) {
    result = f();
    return Arrays{};
  });
  return std::move(*result);
}

template <typename F>
auto while_differentiating(F&& f) {
  return while_running([](const Transformable& function) { mx::vjp(function, Arrays{}, Arrays{}); }, f);
}

template <typename F>
auto while_mapping(F&& f) {
  return while_running([](const Transformable& function) { mx::detail::vmap_trace(function, {}, {}); }, f);
}

// Returns copies, to be told from all other arrays, whose dependents MLX flags.
Arrays traced_copies(const Arrays& primals) {
  Arrays copies;
  for (const auto& primal : primals) {
    copies.push_back(mx::copy(primal, stream_of(primal)));
    copies.back().set_tracer(true);
  }
  return copies;
}

// Derivatives by array. An array without one has derivative zero.
class Derivatives {
 public:
  void add(const array& a, const array& derivative) {
    auto [at, is_first] = by_id.try_emplace(a.id(), derivative);
    if (!is_first) {
      at->second = mx::add(at->second, derivative, stream_of(a));
    }
  }

  bool has(const array& a) const {
    return by_id.count(a.id()) > 0;
  }

  array get(const array& a) const {
    auto at = by_id.find(a.id());
    return at == by_id.end() ? mx::zeros_like(a, stream_of(a)) : at->second;
  }

  Arrays get(const Arrays& arrays) const {
    Arrays all;
    for (const auto& a : arrays) {
      all.push_back(get(a));
    }
    return all;
  }

 private:
  std::unordered_map<uintptr_t, array> by_id;
};

// Returns the outputs, and the cotangents of the primals.
std::pair<Arrays, Arrays> vector_jacobian(
    const Transformable& function, const Arrays& primals, const Arrays& cotangents) {
  return while_differentiating([&] {
    auto inputs = traced_copies(primals);
    auto outputs = function(inputs);
    if (outputs.size() != cotangents.size()) {
      throw std::invalid_argument(
          "the function returned " + std::to_string(outputs.size()) + " arrays, and there are " +
          std::to_string(cotangents.size()) + " cotangents; give one for each");
    }
    Tape tape(inputs, outputs, Follow::Derivatives);
    Derivatives derivatives;
    Flagging flag;
    for (size_t i = 0; i < outputs.size(); ++i) {
      require_same_shape(outputs[i], cotangents[i], "a cotangent");
      if (tape.follows(outputs[i])) {
        derivatives.add(outputs[i], mx::astype(cotangents[i], outputs[i].dtype(), stream_of(outputs[i])));
      }
    }
    for (auto operation = tape.operations.rbegin(); operation != tape.operations.rend(); ++operation) {
      const auto& results = operation->outputs;
      if (std::none_of(results.begin(), results.end(), [&](const array& a) { return derivatives.has(a); })) {
        continue;
      }
      const auto& argnums = operation->followed;
      auto found = operation_vjp(*operation, derivatives.get(results), argnums);
      flag(found);
      for (size_t i = 0; i < argnums.size(); ++i) {
        derivatives.add(operation->inputs[argnums[i]], found[i]);
      }
    }
    return std::make_pair(std::move(outputs), derivatives.get(inputs));
  });
}

// Returns the outputs, and their tangents.
std::pair<Arrays, Arrays> jacobian_vector(
    const Transformable& function, const Arrays& primals, const Arrays& tangents) {
  if (primals.size() != tangents.size()) {
    throw std::invalid_argument(
        "there are " + std::to_string(primals.size()) + " primals and " + std::to_string(tangents.size()) +
        " tangents; give one for each");
  }
  return while_differentiating([&] {
    auto inputs = traced_copies(primals);
    auto outputs = function(inputs);
    Tape tape(inputs, outputs, Follow::Derivatives);
    Derivatives derivatives;
    Flagging flag;
    for (size_t i = 0; i < inputs.size(); ++i) {
      require_same_shape(inputs[i], tangents[i], "a tangent");
      if (tape.follows(inputs[i])) {
        derivatives.add(inputs[i], tangents[i]);
      }
    }
    for (const auto& operation : tape.operations) {
      const auto& argnums = operation.followed;
      Arrays tangents;
      for (int argnum : argnums) {
        tangents.push_back(derivatives.get(operation.inputs[argnum]));
      }
      auto found = operation_jvp(operation, tangents, argnums);
      flag(found);
      for (size_t i = 0; i < found.size(); ++i) {
        if (tape.follows(operation.outputs[i])) {
          derivatives.add(operation.outputs[i], found[i]);
        }
      }
    }
    return std::make_pair(outputs, derivatives.get(outputs));
  });
}

// The placeholders that `map` below is replacing.
thread_local const Marks<char>* replaced_placeholders = nullptr;

struct Replacing {
  explicit Replacing(const Marks<char>& ids) : outer(std::exchange(replaced_placeholders, &ids)) {}
  ~Replacing() {
    replaced_placeholders = outer;
  }

 private:
  const Marks<char>* outer;
};

std::invalid_argument captured_placeholder() {
  return std::invalid_argument("the function has captured an array that is mapped: make it an input");
}

// Requires that `outputs` depend on no placeholder that is being replaced.
void require_no_placeholder(const Arrays& outputs) {
  Marks<char> visited;
  visit_inputs_first(outputs, visited, [](const array& a) {
    if (replaced_placeholders && replaced_placeholders->count(a.id()) > 0) {
      throw captured_placeholder();
    }
  });
}

// Returns the outputs of a function that is mapped over an axis of each input that has one, stacked along their first.
Arrays map(const Transformable& function, const Arrays& inputs, const std::vector<int>& axes) {
  int length = mapped_length(inputs, axes);
  return while_mapping([&] {
    // Arrays without elements, whose dependents MLX flags, stand for the entries of those that are mapped.
    Arrays entries, placeholders;
    std::unordered_map<uintptr_t, std::pair<array, int>> mapped;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (axes[i] == NOT_MAPPED) {
        entries.push_back(inputs[i]);
        continue;
      }
      if (inputs[i].shape(axes[i]) != length) {
        throw std::invalid_argument(
            "the mapped axes have lengths " + std::to_string(length) + " and " +
            std::to_string(inputs[i].shape(axes[i])) + "; they must be equal");
      }
      auto shape = inputs[i].shape();
      shape.erase(shape.begin() + axes[i]);
      entries.emplace_back(shape, inputs[i].dtype(), nullptr, Arrays{});
      entries.back().set_tracer(true);
      placeholders.push_back(entries.back());
      mapped.insert({entries.back().id(), {inputs[i], axes[i]}});
    }
    auto outputs = function(entries);
    Tape tape(placeholders, outputs, Follow::Everything);
    Marks<char> ids;
    for (const auto& placeholder : placeholders) {
      ids.try_emplace(placeholder.id());
    }
    Replacing replacing(ids);
    for (const auto& operation : tape.operations) {
      Arrays all;
      std::vector<int> all_axes;
      for (const auto& input : operation.inputs) {
        auto at = mapped.find(input.id());
        all.push_back(at == mapped.end() ? input : at->second.first);
        all_axes.push_back(at == mapped.end() ? NOT_MAPPED : at->second.second);
      }
      auto [results, result_axes] = map_operation(operation, all, all_axes);
      for (size_t i = 0; i < results.size(); ++i) {
        mapped.insert({operation.outputs[i].id(), {results[i], result_axes[i]}});
      }
    }
    for (auto& output : outputs) {
      auto at = mapped.find(output.id());
      if (at == mapped.end()) {
        output = broadcast_over_first_axis(output, length);
      } else if (auto [whole, axis] = at->second; axis == NOT_MAPPED) {
        output = broadcast_over_first_axis(whole, length);
      } else {
        output = mx::moveaxis(whole, axis, 0, stream_of(whole));
      }
    }
    return outputs;
  });
}

} // namespace

extern "C" bool grad_mlx_vjp(
    abi::ArrayVec all, abi::Callback function, abi::ArraySlice primals, abi::ArraySlice cotangents) noexcept {
  return return_list(all, [&] {
    auto [outputs, results] = vector_jacobian(to_transformable(function), to_arrays(primals), to_arrays(cotangents));
    return concat(std::move(outputs), results);
  });
}

extern "C" bool grad_mlx_jvp(
    abi::ArrayVec all, abi::Callback function, abi::ArraySlice primals, abi::ArraySlice tangents) noexcept {
  return return_list(all, [&] {
    auto [outputs, results] = jacobian_vector(to_transformable(function), to_arrays(primals), to_arrays(tangents));
    return concat(std::move(outputs), results);
  });
}

extern "C" bool grad_mlx_vmap(
    abi::ArrayVec outputs, abi::Callback function, abi::ArraySlice inputs, abi::IntSlice axes) noexcept {
  return return_list(outputs, [&] { return map(to_transformable(function), to_arrays(inputs), to_ints(axes)); });
}
