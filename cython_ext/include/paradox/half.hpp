// binary16 to binary32 in integer arithmetic, for levels without a conversion instruction.
#pragma once

#include <cstdint>
#include <cstring>

#include "paradox/matrix.hpp"

namespace paradox {

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

}  // namespace paradox
