// Loops that the compiler vectorises, compiled once for each level.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <cstdint>

namespace paradox {
namespace {

/// Adds and subtracts pairs at growing distances: log2(n) passes, the inner loop without a branch.
inline void hadamard(float* values, std::int64_t n) {
  for (std::int64_t half = 1; half < n; half *= 2) {
    for (std::int64_t begin = 0; begin < n; begin += 2 * half) {
      float* low = values + begin;
      float* high = low + half;
      for (std::int64_t j = 0; j < half; ++j) {
        const float a = low[j], b = high[j];
        low[j] = a + b;
        high[j] = a - b;
      }
    }
  }
}

/// One order of adding, whatever the level.
inline float sum_of_eight(const float* parts) {
  return ((parts[0] + parts[4]) + (parts[2] + parts[6])) +
         ((parts[1] + parts[5]) + (parts[3] + parts[7]));
}

}  // namespace
}  // namespace paradox
