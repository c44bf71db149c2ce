// What the levels share, compiled once for each.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

namespace paradox {
namespace {

/// One order of adding, whatever the level.
inline float sum_of_eight(const float* parts) {
  return ((parts[0] + parts[4]) + (parts[2] + parts[6])) +
         ((parts[1] + parts[5]) + (parts[3] + parts[7]));
}

}  // namespace
}  // namespace paradox
