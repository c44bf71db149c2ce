// What the kernels are given: rows in someone else's memory, and a metric.
#pragma once

#include <cstdint>
#include <cstring>

namespace paradox {

enum class Metric : int { l2, ip, cosine };

enum class DType : int { f32, f16, i8 };

/// The bits of an IEEE 754 binary16; a type of its own, so that loads are chosen by overload.
struct Half {
  std::uint16_t bits;
};

namespace {  // each level its own copy, as in `one_to_many.hpp`

/// A value from where it lies, aligned or not.
template <class Value>
inline Value read(const Value* p) {
  Value value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace

/// A borrowed (n, dim) matrix: each row is contiguous, the stride may be anything, and neither it
/// nor the first row need be aligned: values are read by `read` or by unaligned vector loads.
struct Matrix {
  const void* data = nullptr;
  std::int64_t n = 0;
  std::int64_t dim = 0;
  std::int64_t stride_bytes = 0;
  DType dtype = DType::f32;

  std::int64_t row_bytes() const {
    return dim * (dtype == DType::f32 ? 4 : dtype == DType::f16 ? 2 : 1);
  }
  const void* row(std::int64_t i) const {
    return static_cast<const char*>(data) + i * stride_bytes;
  }
};

}  // namespace paradox
