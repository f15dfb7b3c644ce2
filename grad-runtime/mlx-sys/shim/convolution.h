// Convolutions. MLX divides by the numbers it is given, and computes lengths in 32 bits.
#pragma once

#include <algorithm>
#include <limits>

#include "convert.h"

namespace ops {

using namespace mlx::core;

using Integers = std::vector<int>;

// Checks the operands, and replaces large numbers that make no difference by small ones, since the gradient computes with
// them too.
void require_convolution(
    const array& a,
    const array& weight,
    Integers& stride,
    const Integers& padding_lo,
    const Integers& padding_hi,
    Integers& kernel_dilation,
    Integers& input_dilation,
    int groups) {
  if (groups < 1) {
    throw std::invalid_argument("there are " + std::to_string(groups) + " groups; give 1 or more");
  }
  size_t axes = stride.size();
  if (a.ndim() != axes + 2 || weight.ndim() != axes + 2) {
    throw std::invalid_argument(
        "the array and the weight need " + std::to_string(axes) +
        " spatial axes, one for each stride, "
        "between their first and their last");
  }
  if (padding_lo.size() != axes || padding_hi.size() != axes || kernel_dilation.size() != axes ||
      input_dilation.size() != axes) {
    throw std::invalid_argument("the lists differ in length; give a number for each spatial axis");
  }
  if (a.size() == 0 || weight.size() == 0) {
    throw std::invalid_argument("the array or the weight is empty");
  }
  // The size of the dilated and padded array, which MLX computes on the way.
  double size = static_cast<double>(a.shape(0)) * a.shape(-1);
  for (size_t i = 0; i < axes; ++i) {
    if (stride[i] < 1 || kernel_dilation[i] < 1 || input_dilation[i] < 1) {
      throw std::invalid_argument("a stride or dilation is 0; give 1 or more");
    }
    if (padding_lo[i] < 0 || padding_hi[i] < 0) {
      throw std::invalid_argument("a padding is negative; give 0 or more");
    }
    int64_t length = a.shape(i + 1), kernel = weight.shape(i + 1);
    kernel_dilation[i] = kernel == 1 ? 1 : kernel_dilation[i];
    input_dilation[i] = length == 1 ? 1 : input_dilation[i];
    int64_t padded = int64_t{padding_lo[i]} + padding_hi[i] + (length - 1) * input_dilation[i] + 1;
    int64_t spread = (kernel - 1) * kernel_dilation[i] + 1;
    if (spread > padded) {
      throw std::invalid_argument(
          "along a spatial axis the dilated weight is of length " + std::to_string(spread) +
          " and the padded array of length " + std::to_string(padded));
    }
    stride[i] = static_cast<int>(std::min<int64_t>(stride[i], padded));
    size *= static_cast<double>(padded);
  }
  if (size > std::max(16.0 * (1 << 20), 1024.0 * static_cast<double>(a.size()))) {
    throw std::invalid_argument("the array would be too large with that padding and dilation");
  }
}

// Puts `dilation - 1` zeros between the entries of each spatial axis.
array dilate(array a, const Integers& dilation) {
  for (size_t i = 0; i < dilation.size(); ++i) {
    int axis = static_cast<int>(i) + 1, length = a.shape(axis);
    std::vector<std::pair<int, int>> widths(a.ndim() + 1, {0, 0});
    widths[axis + 1].second = dilation[i] - 1;
    a = mx::flatten(mx::pad(mx::expand_dims(a, axis + 1), widths, array(0, a.dtype())), axis, axis + 1);
    Shape stop = a.shape();
    stop[axis] = (length - 1) * dilation[i] + 1;
    a = mx::slice(a, Shape(a.ndim(), 0), stop);
  }
  return a;
}

array convolve(
    const array& a,
    const array& weight,
    Integers stride,
    const Integers& padding_lo,
    const Integers& padding_hi,
    Integers kernel_dilation,
    Integers input_dilation,
    int groups,
    bool flip) {
  require_convolution(a, weight, stride, padding_lo, padding_hi, kernel_dilation, input_dilation, groups);
  // MLX computes a gradient of the wrong shape for a dilated array with more padding at the end than the weight covers.
  bool dilate_first = false;
  for (size_t i = 0; i < stride.size(); ++i) {
    int64_t reach = int64_t{kernel_dilation[i]} * (weight.shape(i + 1) - 1);
    dilate_first |= input_dilation[i] > 1 && padding_hi[i] > reach;
  }
  Integers ones(stride.size(), 1);
  return mx::conv_general(
      dilate_first ? dilate(a, input_dilation) : a,
      weight,
      stride,
      padding_lo,
      padding_hi,
      kernel_dilation,
      dilate_first ? ones : input_dilation,
      groups,
      flip);
}

array conv_general(
    const array& a,
    const array& weight,
    const Shape& stride,
    const Shape& padding_lo,
    const Shape& padding_hi,
    const Shape& kernel_dilation,
    const Shape& input_dilation,
    int groups,
    bool flip) {
  auto integers = [](const Shape& shape) { return Integers(shape.begin(), shape.end()); };
  auto strides = integers(stride), lo = integers(padding_lo), hi = integers(padding_hi);
  auto kernel = integers(kernel_dilation), input = integers(input_dilation);
  return convolve(a, weight, strides, lo, hi, kernel, input, groups, flip);
}

array conv(const array& a, const array& weight, Integers stride, Integers padding, Integers dilation, int groups) {
  return convolve(a, weight, stride, padding, padding, dilation, Integers(stride.size(), 1), groups, false);
}

// As MLX defines it: a convolution of the array, dilated by the stride.
array conv_transpose(
    const array& a,
    const array& weight,
    Integers stride,
    Integers padding,
    Integers dilation,
    Integers output_padding,
    int groups) {
  size_t axes = stride.size();
  if (a.ndim() != axes + 2 || weight.ndim() != axes + 2) {
    throw std::invalid_argument("the array and the weight need " + std::to_string(axes + 2) + " axes");
  }
  // Negative padding, where `padding` exceeds what the weight covers, removes elements of the result.
  Integers lo, hi;
  Shape first(axes + 2, 0), last(axes + 2, 0);
  for (size_t i = 0; i < axes; ++i) {
    if (dilation[i] < 1 || weight.shape(i + 1) < 1) {
      throw std::invalid_argument("a dilation or a spatial length of the weight is 0; give 1 or more");
    }
    int64_t before = int64_t{dilation[i]} * (weight.shape(i + 1) - 1) - padding[i];
    int64_t after = before + output_padding[i];
    if (after > std::numeric_limits<int>::max()) {
      throw std::invalid_argument("the array would be too large with that padding and dilation");
    }
    lo.push_back(static_cast<int>(std::max<int64_t>(before, 0)));
    hi.push_back(static_cast<int>(std::max<int64_t>(after, 0)));
    first[i + 1] = static_cast<int>(std::max<int64_t>(-before, 0));
    last[i + 1] = static_cast<int>(std::max<int64_t>(-after, 0));
  }
  Integers ones(axes, 1);
  auto result = convolve(a, weight, ones, lo, hi, dilation, stride, groups, true);
  Shape stop = result.shape();
  for (size_t i = 1; i <= axes; ++i) {
    stop[i] -= last[i];
    if (stop[i] <= first[i]) {
      throw std::invalid_argument("the padding leaves nothing of the result");
    }
  }
  return first == Shape(axes + 2, 0) && stop == result.shape() ? result : mx::slice(result, first, stop);
}

using Pair = std::pair<int, int>;
using Triple = std::tuple<int, int, int>;

Integers integers(const Pair& pair) {
  return {pair.first, pair.second};
}

Integers integers(const Triple& triple) {
  return {std::get<0>(triple), std::get<1>(triple), std::get<2>(triple)};
}

array conv1d(const array& a, const array& weight, int stride, int padding, int dilation, int groups) {
  return conv(a, weight, {stride}, {padding}, {dilation}, groups);
}

array conv2d(
    const array& a, const array& weight, const Pair& stride, const Pair& padding, const Pair& dilation, int groups) {
  return conv(a, weight, integers(stride), integers(padding), integers(dilation), groups);
}

array conv3d(
    const array& a,
    const array& weight,
    const Triple& stride,
    const Triple& padding,
    const Triple& dilation,
    int groups) {
  return conv(a, weight, integers(stride), integers(padding), integers(dilation), groups);
}

array conv_transpose1d(
    const array& a, const array& weight, int stride, int padding, int dilation, int output_padding, int groups) {
  return conv_transpose(a, weight, {stride}, {padding}, {dilation}, {output_padding}, groups);
}

array conv_transpose2d(
    const array& a,
    const array& weight,
    const Pair& stride,
    const Pair& padding,
    const Pair& dilation,
    const Pair& output_padding,
    int groups) {
  return conv_transpose(
      a, weight, integers(stride), integers(padding), integers(dilation), integers(output_padding), groups);
}

array conv_transpose3d(
    const array& a,
    const array& weight,
    const Triple& stride,
    const Triple& padding,
    const Triple& dilation,
    const Triple& output_padding,
    int groups) {
  return conv_transpose(
      a, weight, integers(stride), integers(padding), integers(dilation), integers(output_padding), groups);
}

} // namespace ops
