// Arguments of Rust as MLX takes them. The table in src/abi.rs says which function converts which type.
#pragma once

#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "abi.h"
#include "mlx/mlx.h"

namespace mx = mlx::core;
using mx::array;

namespace {

template <typename T>
T same(T value) {
  return value;
}

const array& to_array(const array* a) {
  return *a;
}

Arrays to_arrays(abi::ArraySlice slice) {
  return Arrays(slice.data, slice.data + slice.len);
}

template <typename T>
std::optional<T> to_optional(const T* value) {
  return value ? std::make_optional(*value) : std::nullopt;
}

mx::Shape to_shape(abi::IntSlice slice) {
  return mx::Shape(slice.data, slice.data + slice.len);
}

// No data is no shape, as of Rust's `None`.
std::optional<mx::Shape> to_optional_shape(abi::IntSlice slice) {
  return slice.data ? std::make_optional(to_shape(slice)) : std::nullopt;
}

[[noreturn, gnu::cold, gnu::noinline]] void refuse_wide(ptrdiff_t axis) {
  throw std::invalid_argument("axis " + std::to_string(axis) + " is out of bounds");
}

// Axes, or lengths of which one may be -1, for which MLX takes either a vector or a shape. MLX counts in 32 bits.
class Axes {
 public:
  explicit Axes(abi::AxisSlice slice) : slice(slice) {}

  // Narrows each as it is read.
  struct Iterator {
    using iterator_category = std::random_access_iterator_tag;
    using value_type = int;
    using difference_type = ptrdiff_t;
    using pointer = const int*;
    using reference = int;

    int operator*() const {
      int axis = static_cast<int>(data[at]);
      if (axis != data[at]) {
        refuse_wide(data[at]);
      }
      return axis;
    }
    Iterator& operator++() {
      ++at;
      return *this;
    }
    friend bool operator==(Iterator, Iterator) = default;
    friend difference_type operator-(Iterator a, Iterator b) {
      return static_cast<ptrdiff_t>(a.at - b.at);
    }

    const ptrdiff_t* data;
    size_t at; // A position, since the difference of two pointers takes more instructions.
  };

  Iterator begin() const {
    return {slice.data, 0};
  }
  Iterator end() const {
    return {slice.data, slice.len};
  }
  size_t size() const {
    return slice.len;
  }
  // Not narrowed.
  ptrdiff_t operator[](size_t at) const {
    return slice.data[at];
  }

  operator std::vector<int>() const {
    return std::vector<int>(begin(), end());
  }
  operator mx::Shape() const {
    return mx::Shape(begin(), end());
  }

 private:
  abi::AxisSlice slice;
};

Axes to_axes(abi::AxisSlice slice) {
  return Axes(slice);
}

std::vector<int> to_ints(abi::IntSlice slice) {
  return std::vector<int>(slice.data, slice.data + slice.len);
}

std::vector<std::pair<int, int>> to_pairs(abi::IntSlice slice) {
  std::vector<std::pair<int, int>> all;
  for (size_t i = 0; i + 1 < slice.len; i += 2) {
    all.emplace_back(slice.data[i], slice.data[i + 1]);
  }
  return all;
}

std::pair<int, int> to_pair(abi::IntPair pair) {
  return {pair.first, pair.second};
}

std::tuple<int, int, int> to_tuple(abi::IntTriple triple) {
  return {triple.first, triple.second, triple.third};
}

std::string to_string(abi::Str text) {
  return std::string(text.data, text.len);
}

mx::Device to_device(abi::Device device) {
  return device == abi::Device::Cpu ? mx::Device::cpu : mx::Device::gpu;
}

mx::Dtype to_dtype(abi::Dtype dtype) {
  static constexpr mx::Dtype DTYPES[] = {
#define MLX_DTYPE(name, number, mlx_dtype, element) mlx_dtype,
      FOR_EACH_DTYPE(MLX_DTYPE)
#undef MLX_DTYPE
  };
  return DTYPES[static_cast<int32_t>(dtype)];
}

std::string to_pad_mode(abi::PadMode mode) {
  switch (mode) {
    case abi::PadMode::Constant:
      return "constant";
    case abi::PadMode::Edge:
      return "edge";
    case abi::PadMode::Reflect:
      return "reflect";
    case abi::PadMode::Symmetric:
      return "symmetric";
  }
  throw std::invalid_argument("unknown pad mode");
}

std::string to_side(abi::Side side) {
  return side == abi::Side::Left ? "left" : "right";
}

std::string to_indexing(abi::Indexing indexing) {
  return indexing == abi::Indexing::Xy ? "xy" : "ij";
}

bool is_reverse(abi::ScanDirection direction) {
  return direction == abi::ScanDirection::Reverse;
}

bool is_inclusive(abi::ScanBound bound) {
  return bound == abi::ScanBound::Inclusive;
}

mx::fft::FFTNorm to_fft_norm(abi::FftNorm norm) {
  switch (norm) {
    case abi::FftNorm::Backward:
      return mx::fft::FFTNorm::Backward;
    case abi::FftNorm::Ortho:
      return mx::fft::FFTNorm::Ortho;
    case abi::FftNorm::Forward:
      return mx::fft::FFTNorm::Forward;
  }
  throw std::invalid_argument("unknown norm");
}

bool is_upper(abi::Triangle triangle) {
  return triangle == abi::Triangle::Upper;
}

// Returns Rust's number of a dtype, or -1 if a newer MLX has one that Rust lacks.
int32_t dtype_number(mx::Dtype dtype) {
  switch (dtype.val()) {
#define CASE(name, number, mlx_dtype, element) \
  case mlx_dtype.val():                        \
    return number;
    FOR_EACH_DTYPE(CASE)
#undef CASE
    default:
      return -1;
  }
}

} // namespace
