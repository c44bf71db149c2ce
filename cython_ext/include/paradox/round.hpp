// Rounding with a direction, without changing the processor's mode.
#pragma once

#include <cmath>

namespace paradox {

/// More than float64 sums of 65,536 terms can be off, relatively, and far less than float32 is.
constexpr double kAbout = 1 + 0x1p-30;

/// More than half a step of float32 is added before the cast rounds by half a step at most; of what
/// is a float32 already, the result is greater.
inline float round_up(double value) {
  return static_cast<float>(value + (std::fabs(value) * 0x1.8p-24 + 0x1.8p-150));
}

inline float round_down(double value) { return -round_up(-value); }

/// To the nearest integer, for values below 2^51: two additions, where `std::rint` is a call.
inline double rounded(double value) { return (value + 0x1.8p52) - 0x1.8p52; }

}  // namespace paradox
