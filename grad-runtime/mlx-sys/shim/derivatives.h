// The derivatives of single operations, and how they are mapped: MLX's own, and here what MLX lacks or gets wrong.
#pragma once

#include <initializer_list>
#include <string_view>

#include "collectives.h"
#include "tape.h"

namespace {

std::pair<Arrays, Arrays> vector_jacobian(
    const Transformable& function, const Arrays& primals, const Arrays& cotangents);

// Compares the first word of the name. A second one may say how elements are combined, as in "Scatter Sum".
bool is_one_of(const mx::Primitive& primitive, std::initializer_list<std::string_view> names) {
  std::string_view name = primitive.name();
  return std::find(names.begin(), names.end(), name.substr(0, name.find(' '))) != names.end();
}

Arrays zeros_like(const Arrays& arrays) {
  Arrays zeros;
  for (const auto& a : arrays) {
    zeros.push_back(mx::zeros_like(a));
  }
  return zeros;
}

// Performs an operation on other inputs, of the same shapes and dtypes.
Arrays perform(const Operation& operation, const Arrays& inputs) {
  std::vector<mx::Shape> shapes;
  std::vector<mx::Dtype> dtypes;
  for (const auto& output : operation.outputs) {
    shapes.push_back(output.shape());
    dtypes.push_back(output.dtype());
  }
  return array::make_arrays(shapes, dtypes, operation.primitive, inputs);
}

// MLX divides by cosh², which overflows.
array tanh_derivative(const Operation& operation, const array& factor) {
  return mx::subtract(factor, mx::multiply(factor, mx::square(operation.outputs[0])));
}

// Returns complex numbers of magnitude 1 in the same directions, and 0 for 0: as MLX's `sign`, whose derivative is 0.
array direction(const array& z) {
  array magnitude = mx::abs(z), is_zero = mx::equal(magnitude, array(0.0f));
  return mx::where(is_zero, mx::zeros_like(z), mx::divide(z, mx::where(is_zero, array(1.0f), magnitude)));
}

// Collectives. The values behind one are equal on all processes, and so is the loss that is computed from them: its cotangent is
// that of one loss, not of one for each process.

// Returns the share that this process has in the maximum, or minimum: 1 where it alone has the element.
array extremum_share(const Operation& operation) {
  const array& x = operation.inputs[0];
  array held = mx::astype(mx::equal(x, operation.outputs[0]), x.dtype());
  array holders = communicate(abi::Collective::AllSum, held, group_of(*operation.primitive));
  return mx::divide(held, mx::maximum(holders, array(1, x.dtype())));
}

[[noreturn]] void refuse_send() {
  throw std::invalid_argument(
      "`send` has no gradient, since the process that receives would have to send it back; send in a no-grad scope, or use a "
      "collective");
}

Arrays collective_vjp(const Operation& operation, abi::Collective collective, const array& cotangent) {
  switch (collective) {
    case abi::Collective::AllMax:
    case abi::Collective::AllMin:
      return {mx::multiply(cotangent, extremum_share(operation))};
    case abi::Collective::SumScatter:
      return {communicate(abi::Collective::AllGather, cotangent, group_of(*operation.primitive))};
    case abi::Collective::Send:
      refuse_send();
    default:
      return operation.primitive->vjp(operation.inputs, {cotangent}, {0}, operation.outputs);
  }
}

Arrays collective_jvp(const Operation& operation, abi::Collective collective, const array& tangent) {
  const auto& group = group_of(*operation.primitive);
  switch (collective) {
    case abi::Collective::AllMax:
    case abi::Collective::AllMin:
      return {communicate(abi::Collective::AllSum, mx::multiply(tangent, extremum_share(operation)), group)};
    case abi::Collective::Send:
      refuse_send();
    default:
      return {communicate(collective, tangent, group)};
  }
}

bool is_of_complex(const Operation& operation, std::string_view name) {
  return is_one_of(*operation.primitive, {name}) && operation.inputs[0].dtype() == mx::complex64;
}

// Reverse mode. Returns a cotangent for each of the inputs `argnums`.
Arrays operation_vjp(const Operation& operation, const Arrays& cotangents, const std::vector<int>& argnums) {
  if (auto collective = collective_of(*operation.primitive)) {
    return collective_vjp(operation, *collective, cotangents[0]);
  }
  if (is_of_complex(operation, "Abs")) {
    return {mx::multiply(cotangents[0], direction(operation.inputs[0]))};
  }
  if (is_of_complex(operation, "Sign")) {
    auto sign = [](const Arrays& z) { return Arrays{direction(z[0])}; };
    return vector_jacobian(sign, operation.inputs, cotangents).second;
  }
  if (is_one_of(*operation.primitive, {"Tanh"})) {
    return {tanh_derivative(operation, cotangents[0])};
  }
  return operation.primitive->vjp(operation.inputs, cotangents, argnums, operation.outputs);
}

// Forward mode by reverse mode: the cotangents of the inputs are a linear function of those of the outputs, and its transpose
// takes the tangents of the inputs to those of the outputs.
Arrays transposed_vjp(const Operation& operation, const Arrays& tangents, const std::vector<int>& argnums) {
  auto reverse = [&](const Arrays& cotangents) { return operation_vjp(operation, cotangents, argnums); };
  return vector_jacobian(reverse, zeros_like(operation.outputs), tangents).second;
}

// Forward mode of an operation that is linear in each of its inputs.
Arrays multilinear_jvp(const Operation& operation, const Arrays& tangents, const std::vector<int>& argnums) {
  std::optional<array> sum;
  for (size_t i = 0; i < argnums.size(); ++i) {
    Arrays inputs = operation.inputs;
    inputs[argnums[i]] = mx::astype(tangents[i], inputs[argnums[i]].dtype());
    array term = perform(operation, inputs)[0];
    sum = sum ? mx::add(*sum, term) : term;
  }
  return {*sum};
}

// Forward mode. `tangents` are those of the inputs `argnums`. Returns a tangent for each output.
Arrays operation_jvp(const Operation& operation, const Arrays& tangents, const std::vector<int>& argnums) {
  const auto& primitive = *operation.primitive;
  if (auto collective = collective_of(primitive)) {
    return collective_jvp(operation, *collective, tangents[0]);
  }
  if (is_one_of(primitive, {"Tanh"})) {
    return {tanh_derivative(operation, tangents[0])};
  }
  if (is_of_complex(operation, "Abs") || is_of_complex(operation, "Sign")) {
    return transposed_vjp(operation, tangents, argnums);
  }
  // MLX ignores the factors of an AddMM, and lacks the others.
  if (is_one_of(primitive, {"AddMM", "CumMax", "CumMin", "CumProd", "GatherMM", "GatherQMM", "Scatter"})) {
    return transposed_vjp(operation, tangents, argnums);
  }
  // MLX forgets an odd length of the transform to real numbers.
  if (is_one_of(primitive, {"Convolution", "FFT"})) {
    return multilinear_jvp(operation, tangents, argnums);
  }
  return operation.primitive->jvp(operation.inputs, tangents, argnums);
}

using Mapped = std::pair<Arrays, std::vector<int>>;

// Where an array is not mapped.
constexpr int NOT_MAPPED = -1;

int mapped_length(const Arrays& inputs, const std::vector<int>& axes) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (axes[i] != NOT_MAPPED) {
      return inputs[i].shape(axes[i]);
    }
  }
  throw std::invalid_argument("no input is mapped; give one an axis");
}

array broadcast_over_first_axis(const array& a, int length) {
  auto shape = a.shape();
  shape.insert(shape.begin(), length);
  return mx::broadcast_to(a, shape);
}

// Maps all inputs over their first axes. MLX gets operations wrong of which only some inputs are mapped.
Mapped map_every_input(const Operation& operation, Arrays inputs, std::vector<int> axes) {
  int length = mapped_length(inputs, axes);
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] =
        axes[i] == NOT_MAPPED ? broadcast_over_first_axis(inputs[i], length) : mx::moveaxis(inputs[i], axes[i], 0);
    axes[i] = 0;
  }
  return operation.primitive->vmap(inputs, axes);
}

// Performs the operation once for each entry of the mapped axes.
Mapped map_one_by_one(const Operation& operation, const Arrays& inputs, const std::vector<int>& axes) {
  std::vector<Arrays> all(operation.outputs.size());
  for (int at = 0, length = mapped_length(inputs, axes); at < length; ++at) {
    Arrays entries;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (axes[i] == NOT_MAPPED) {
        entries.push_back(inputs[i]);
        continue;
      }
      mx::Shape start(inputs[i].ndim(), 0), stop = inputs[i].shape();
      start[axes[i]] = at;
      stop[axes[i]] = at + 1;
      // AsStrided takes contiguous arrays only.
      entries.push_back(mx::contiguous(mx::squeeze(mx::slice(inputs[i], start, stop), axes[i])));
    }
    auto outputs = perform(operation, entries);
    for (size_t i = 0; i < outputs.size(); ++i) {
      all[i].push_back(outputs[i]);
    }
  }
  Arrays stacked;
  for (const auto& outputs : all) {
    stacked.push_back(mx::stack(outputs, 0));
  }
  return {stacked, std::vector<int>(stacked.size(), 0)};
}

// Issues the collective once, for all entries of the mapped axis.
Mapped map_collective(const Operation& operation, abi::Collective collective, const array& a, int axis) {
  const auto& group = group_of(*operation.primitive);
  switch (collective) {
    case abi::Collective::Send:
      throw std::invalid_argument("`send` cannot be mapped; map the function, and send its result");
    case abi::Collective::AllGather:
    case abi::Collective::SumScatter: {
      // They join and divide axis 0, so that one is not mapped.
      array moved = a.ndim() == 1 ? mx::expand_dims(a, 0) : mx::moveaxis(a, axis, 1);
      return {{communicate(collective, moved, group)}, {1}};
    }
    default:
      return {{communicate(collective, a, group)}, {axis}};
  }
}

// Maps an operation over an axis of each input that has one. Returns the axes of the outputs, too.
Mapped map_operation(const Operation& operation, const Arrays& inputs, const std::vector<int>& axes) {
  const auto& primitive = *operation.primitive;
  if (auto collective = collective_of(primitive)) {
    return map_collective(operation, *collective, inputs[0], axes[0]);
  }
  if (is_one_of(
          primitive,
          {"AddMM", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "LeftShift", "NotEqual", "RightShift", "SliceUpdate"})) {
    return map_every_input(operation, inputs, axes);
  }
  bool maps_weight = is_one_of(primitive, {"Convolution"}) && axes[1] != NOT_MAPPED;
  if (maps_weight ||
      is_one_of(primitive, {"AsStrided", "GatherMM", "GatherQMM", "LUF", "QRF", "QuantizedMatmul", "SearchSorted"})) {
    return map_one_by_one(operation, inputs, axes);
  }
  return operation.primitive->vmap(inputs, axes);
}

} // namespace
