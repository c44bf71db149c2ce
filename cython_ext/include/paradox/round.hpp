// Rounding with a direction, without changing the processor's mode.
#pragma once

#include <cmath>
#include <limits>

namespace paradox {

/// More than float64 sums of 65,536 terms can be off, relatively, and far less than float32 is.
constexpr double kAbout = 1 + 0x1p-30;

inline float round_up(double value) {
  return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

inline float round_down(double value) {
  return std::nextafter(static_cast<float>(value), -std::numeric_limits<float>::infinity());
}

/// To the nearest integer, for values below 2^51: two additions, where `std::rint` is a call.
inline double rounded(double value) { return (value + 0x1.8p52) - 0x1.8p52; }

}  // namespace paradox
