// binary16 to binary32 and back in integer arithmetic: the same bits on every machine, and for
// levels without a conversion instruction.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "paradox/matrix.hpp"

namespace paradox {

/// The greatest finite value.
constexpr float kMostHalf = 65504.0f;

/// Exact for every finite value; infinities and NaN stay what they are.
inline float to_float(Half half) {
  const std::uint32_t sign = (half.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = half.bits & 0x7fffu;
  std::uint32_t bits;
  if (magnitude >= 0x7c00u) {  // infinity or NaN
    bits = sign | 0x7f800000u | (magnitude & 0x3ffu) << 13;
  } else if (magnitude >= 0x0400u) {  // normal: move the exponent's bias from 15 to 127
    bits = sign | ((magnitude << 13) + ((127u - 15u) << 23));
  } else {  // zero or subnormal: an integer multiple of 2^-24
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    std::memcpy(&bits, &value, sizeof bits);
    bits |= sign;
  }
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

/// The same of n finite values, without branches: a compiler takes several at a time.
inline void to_floats(const Half* halves, std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = halves[i].bits;
    const std::uint32_t moved = (bits & 0x7fffu) << 13 | (bits & 0x8000u) << 16;
    float value;
    std::memcpy(&value, &moved, sizeof value);
    out[i] = value * 0x1p112f;  // the exponent's bias from 15 to 127
  }
}

/// To the nearest, ties to even; what is too great becomes the greatest.
inline Half to_half(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000u : 0u;
  const float magnitude = std::fabs(value);
  if (!(magnitude < kMostHalf)) return {static_cast<std::uint16_t>(sign | 0x7bffu)};
  if (magnitude < 0x1p-14f) {  // a multiple of 2^-24
    return {static_cast<std::uint16_t>(sign | std::lrint(magnitude * 0x1p24f))};
  }
  std::uint32_t bits;
  std::memcpy(&bits, &magnitude, sizeof bits);
  const std::uint32_t rounded = (bits + 0xfffu + (bits >> 13 & 1u)) >> 13;
  return {static_cast<std::uint16_t>(sign | (rounded - (112u << 10)))};
}

}  // namespace paradox
