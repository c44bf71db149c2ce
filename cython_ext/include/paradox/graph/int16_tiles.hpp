// Tiles of int8 vectors for levels that multiply int16 best: rows and columns alike are widened.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <cstdint>

#include "paradox/graph/graph_kernels.hpp"

namespace paradox {
namespace {

inline void widen_row(const std::int8_t* vector, int dim, std::uint8_t* row) {
  auto* values = reinterpret_cast<std::int16_t*>(row);
  for (int j = 0; j < dim; ++j) values[j] = vector[j];
}

inline void widen_column(const std::int8_t* vector, int dim, int column, std::uint8_t* panel) {
  const std::int64_t bytes = std::int64_t{dim} * std::int64_t{sizeof(std::int16_t)};
  widen_row(vector, dim, panel + column * bytes);
}

template <auto dots_4xn>
void dots_of_tile(const std::uint8_t* rows, const std::uint8_t* panel, std::int64_t n, int dim,
                  std::int32_t* out, std::int64_t stride) {
  dots_4xn(reinterpret_cast<const std::int16_t*>(rows),
           reinterpret_cast<const std::int16_t*>(panel), n, dim, out, stride);
}

/// Levels take three or four columns at once, which 48 are a multiple of.
template <auto dots_4xn>
constexpr Int8Tiles int16_tiles() {
  return {4, 48, sizeof(std::int16_t), 0, widen_row, widen_column, dots_of_tile<dots_4xn>};
}

}  // namespace
}  // namespace paradox
