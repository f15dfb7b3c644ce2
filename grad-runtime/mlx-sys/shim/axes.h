// Axes, with their bounds checked.
#pragma once

#include "convert.h"

namespace {

[[noreturn, gnu::cold, gnu::noinline]] void refuse_axis(int axis, int ndim) {
  throw std::invalid_argument(
      "axis " + std::to_string(axis) + " is out of bounds for an array of " + std::to_string(ndim) + " axes");
}

// Returns an axis as counted from the first.
inline int axis_of(const array& a, int axis) {
  int ndim = static_cast<int>(a.ndim());
  if (axis < -ndim || axis >= ndim) {
    refuse_axis(axis, ndim);
  }
  return axis < 0 ? axis + ndim : axis;
}

} // namespace
