// binary32 to binary16 in integer arithmetic: the same bits on every machine.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "paradox/matrix.hpp"

namespace paradox {

/// To the nearest, ties to even; what is too great becomes the greatest.
inline Half to_half(float value) {
  constexpr float kGreatest = 65504.0f;
  const std::uint16_t sign = std::signbit(value) ? 0x8000u : 0u;
  const float magnitude = std::fabs(value);
  if (!(magnitude < kGreatest)) return {static_cast<std::uint16_t>(sign | 0x7bffu)};
  if (magnitude < 0x1p-14f) {  // a multiple of 2^-24
    return {static_cast<std::uint16_t>(sign | std::lrint(magnitude * 0x1p24f))};
  }
  std::uint32_t bits;
  std::memcpy(&bits, &magnitude, sizeof bits);
  const std::uint32_t rounded = (bits + 0xfffu + (bits >> 13 & 1u)) >> 13;
  return {static_cast<std::uint16_t>(sign | (rounded - (112u << 10)))};
}

}  // namespace paradox
