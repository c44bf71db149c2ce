// The least of many keys, by lanes that compilers make vectors of.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <algorithm>
#include <cstdint>

#include "paradox/graph/graph_kernels.hpp"

namespace paradox {
namespace {

/// `GraphKernels::least_key`: the greatest of the lanes' least keys bounds as many keys as there
/// are lanes.
inline LeastKey least_key_of_lanes(const float* keys, std::uint32_t n) {
  float least[kKeyLanes];
  std::copy_n(keys, kKeyLanes, least);
  for (std::uint32_t j = kKeyLanes; j < n; j += kKeyLanes) {
    for (std::uint32_t i = 0; i < kKeyLanes; ++i) {
      least[i] = keys[j + i] < least[i] ? keys[j + i] : least[i];
    }
  }
  LeastKey result{least[0], least[0], 0};
  for (const float key : least) {
    result.key = std::min(result.key, key);
    result.bound = std::max(result.bound, key);
  }
  while (result.at < n && keys[result.at] != result.key) ++result.at;
  return result;
}

}  // namespace
}  // namespace paradox
