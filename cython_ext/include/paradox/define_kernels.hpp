// Gives the kernels of one level their names, `<operation>_<dtype>_<isa>`, and puts them in a
// table.
#pragma once

#include <cstdint>

#include "paradox/bound_kernels.hpp"
#include "paradox/kernel_table.hpp"
#include "paradox/matrix.hpp"
#include "paradox/one_to_many.hpp"
#include "paradox/tile.hpp"

namespace paradox {
namespace {

template <class Simd, class Row>
inline void widen(const Row* row, std::int64_t dim, float* out) {
  constexpr int kStep = Simd::kLanes;
  std::int64_t j = 0;
  for (; j + kStep <= dim; j += kStep) Simd::store(out + j, Simd::load(row + j));
  if (j < dim) {
    float tail[kStep];
    Simd::store(tail, load_tail<FloatMath<Simd, Row>>(row + j, dim - j));
    std::memcpy(out + j, tail, static_cast<std::size_t>(dim - j) * sizeof(float));
  }
}

}  // namespace
}  // namespace paradox

#define PARADOX_ONE_TO_MANY(operation, dtype, isa, Math, Op)                                   \
  void operation##_##dtype##_##isa(const void* query, const void* const* rows, std::int64_t n, \
                                   std::int64_t dim, double* sums, double* squares) {          \
    one_to_many<Math, Op>(query, rows, n, dim, sums, squares);                                 \
  }

#define PARADOX_ONE_TO_MANY_OF_DTYPE(dtype, isa, Math) \
  PARADOX_ONE_TO_MANY(l2, dtype, isa, Math, L2)        \
  PARADOX_ONE_TO_MANY(dot, dtype, isa, Math, Dot)      \
  PARADOX_ONE_TO_MANY(cosine, dtype, isa, Math, Cosine)

#define PARADOX_DEFINE_KERNELS(isa, Simd)                                          \
  namespace paradox {                                                              \
  using FloatMath_f32 = FloatMath<Simd, float>;                                    \
  using FloatMath_f16 = FloatMath<Simd, Half>;                                     \
  using FloatMath_i8 = FloatMath<Simd, std::int8_t>;                               \
  PARADOX_ONE_TO_MANY_OF_DTYPE(f32, isa, FloatMath_f32)                            \
  PARADOX_ONE_TO_MANY_OF_DTYPE(f16, isa, FloatMath_f16)                            \
  PARADOX_ONE_TO_MANY_OF_DTYPE(i8, isa, FloatMath_i8)                              \
  PARADOX_ONE_TO_MANY_OF_DTYPE(i8i8, isa, IntMath<Simd>)                           \
  void tile_f32_##isa(const FloatTile& job) { tile<Simd, FloatCells<Simd>>(job); } \
  void tile_i8i8_##isa(const IntTile& job) { tile<Simd, IntCells<Simd>>(job); }    \
  void widen_f16_##isa(const Half* row, std::int64_t dim, float* out) {            \
    widen<Simd>(row, dim, out);                                                    \
  }                                                                                \
  void widen_i8_##isa(const std::int8_t* row, std::int64_t dim, float* out) {      \
    widen<Simd>(row, dim, out);                                                    \
  }                                                                                \
  void bound_rows_u8_##isa(const CodeScan& job) { bound_rows<Simd>(job); }         \
  void bound_tile_u8_##isa(const CodeTile& job) { bound_tile<Simd>(job); }         \
  static_assert(kCodeStep % (Simd::kByteCells * kCodeCell) == 0);                  \
  static_assert(Simd::kTileVectors * Simd::kLanes <= kMaxPanelQueries);            \
  static_assert(Simd::kCodeVectors * Simd::kLanes <= kMaxPanelQueries);            \
  extern const KernelTable kernels_##isa;                                          \
  const KernelTable kernels_##isa = {                                              \
      #isa,                                                                        \
      Simd::kLanes,                                                                \
      Simd::kTileVectors,                                                          \
      Simd::kTileRows,                                                             \
      Simd::kCodeVectors,                                                          \
      Simd::kCodeRows,                                                             \
      Simd::kQueryLimit,                                                           \
      {l2_f32_##isa, l2_f16_##isa, l2_i8_##isa},                                   \
      {dot_f32_##isa, dot_f16_##isa, dot_i8_##isa},                                \
      {cosine_f32_##isa, cosine_f16_##isa, cosine_i8_##isa},                       \
      l2_i8i8_##isa,                                                               \
      dot_i8i8_##isa,                                                              \
      cosine_i8i8_##isa,                                                           \
      tile_f32_##isa,                                                              \
      tile_i8i8_##isa,                                                             \
      widen_f16_##isa,                                                             \
      widen_i8_##isa,                                                              \
      bound_rows_u8_##isa,                                                         \
      bound_tile_u8_##isa,                                                         \
  };                                                                               \
  }
