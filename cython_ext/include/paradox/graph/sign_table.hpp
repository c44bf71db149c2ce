// The table by which the signs of many residuals are multiplied with a query.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "paradox/aligned.hpp"
#include "paradox/graph/graph_kernels.hpp"

namespace paradox {

/// The table of a rotated query (dim,), whose greatest sum of four absolute values is `widest`.
inline SignTable sign_table_of(const GraphKernels& kernels, const float* rotated, int dim,
                               float widest, AlignedVector<std::uint8_t>& entries) {
  // The greatest byte: four must fit a byte, and one of every four dimensions 16 bits.
  const float top = std::min(63.0f, std::floor(65535.0f / static_cast<float>(dim / 4)));
  const float to_entry = widest > kLeastValue ? top / (2.0f * widest) : 0.0f;
  kernels.sign_table(rotated, dim, to_entry, widest * to_entry + 0.5f,
                     at_least(entries, std::int64_t{4} * dim));
  return {entries.data(), 2.0f * widest / top, -static_cast<float>(dim / 4) * widest};
}

}  // namespace paradox
