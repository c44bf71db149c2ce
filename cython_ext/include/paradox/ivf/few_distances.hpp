// What all levels do with rows too few for a vector, compiled once for each.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <algorithm>
#include <cstdint>

#include "paradox/ivf/ivf_kernels.hpp"

namespace paradox {
namespace {

/// `distances` one by one, for fewer rows than a vector has lanes.
inline std::int64_t few_distances(const PointNorm& row, const PointNorms& others,
                                  const std::int32_t* dots, float* out) {
  for (std::int64_t j = 0; j < others.n; ++j) {
    const float product = 2.0f * (row.scale * others.scales[j]) * static_cast<float>(dots[j]);
    const float distance = row.square + others.squares[j] - product;
    out[j] = distance < 0.0f ? 0.0f : distance;
  }
  return std::min_element(out, out + others.n) - out;
}

}  // namespace
}  // namespace paradox
