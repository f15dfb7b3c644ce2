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
  unsigned ndim = static_cast<unsigned>(a.ndim()), from_last = static_cast<unsigned>(axis) + ndim;
  if (from_last >= 2 * ndim) {
    refuse_axis(axis, static_cast<int>(ndim));
  }
  return axis < 0 ? static_cast<int>(from_last) : axis;
}

} // namespace
