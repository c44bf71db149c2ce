// The lists' kernels of AVX2 that the level of AVX-512 has too. Sixteen lanes bring the last two
// nothing that a build shows: `residual` takes 70 for 76 ns, since sums of eight parts wait for one
// another, and `to_int8` 8 for 12, of 11 us a row (128 dimensions). `distances` is for few rows.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <immintrin.h>

#include "paradox/ivf/ivf_kernels.hpp"

namespace paradox {

std::int64_t distances_avx2(const PointNorm& row, const PointNorms& others,
                            const std::int32_t* dots, float* out);

ResidualSums residual_avx2(const float* vector, const std::int16_t* centre, float scale, int dim,
                           float* out, std::uint8_t* signs);

void to_int8_avx2(const float* values, int dim, float scale, std::int8_t* out);

namespace {

float least_of(__m256 a) {
  __m128 four = _mm_min_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  four = _mm_min_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_min_ss(four, _mm_movehdup_ps(four)));
}

}  // namespace
}  // namespace paradox
