// Included before `kernels_avx512.cpp` and those of indexes, gives them AVX-512 made of AVX2:
// SIMDe, and what SIMDe 0.7.4 lacks of the intrinsics used there.
#pragma once

#include <immintrin.h>  // first, so that its own names are not taken for the aliases

#include <algorithm>
#include <cstdint>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

namespace avx512_by_simde {

inline simde__m512 join(__m256 low, __m256 high) {
  const simde__m512 both = simde_mm512_castps256_ps512(low);
  return simde_mm512_insertf32x8(both, high, 1);
}

inline simde__m512i join(__m256i low, __m256i high) {
  return simde_mm512_inserti64x4(simde_mm512_castsi256_si512(low), high, 1);
}

inline __m256 half_of(simde__m512 a, int i) {
  float lanes[16];
  simde_mm512_storeu_ps(lanes, a);
  return _mm256_loadu_ps(lanes + 8 * i);
}

/// SIMDe leaves the sign of a zero.
inline simde__m512 abs_ps(simde__m512 a) {
  return simde_mm512_castsi512_ps(
      simde_mm512_and_si512(simde_mm512_castps_si512(a), simde_mm512_set1_epi32(INT32_MAX)));
}

inline simde__m512i cvtps_epi32(simde__m512 a) {
  return join(_mm256_cvtps_epi32(half_of(a, 0)), _mm256_cvtps_epi32(half_of(a, 1)));
}

inline simde__m512i cvttps_epi32(simde__m512 a) {
  return join(_mm256_cvttps_epi32(half_of(a, 0)), _mm256_cvttps_epi32(half_of(a, 1)));
}

template <int kPattern>
simde__m512 permute_ps(simde__m512 a) {
  return join(_mm256_permute_ps(half_of(a, 0), kPattern),
              _mm256_permute_ps(half_of(a, 1), kPattern));
}

inline simde__m512 shuffle_f32x4(simde__m512 a, simde__m512 b, int pattern) {
  float from[2][16], to[16];
  simde_mm512_storeu_ps(from[0], a);
  simde_mm512_storeu_ps(from[1], b);
  for (int i = 0; i < 16; ++i) to[i] = from[i / 8][(pattern >> i / 4 * 2 & 3) * 4 + i % 4];
  return simde_mm512_loadu_ps(to);
}

inline simde__m512i shuffle_i64x2(simde__m512i a, simde__m512i b, int pattern) {
  return simde_mm512_castps_si512(
      shuffle_f32x4(simde_mm512_castsi512_ps(a), simde_mm512_castsi512_ps(b), pattern));
}

inline simde__m512d cvtps_pd(__m256 a) {
  const simde__m512d low = simde_mm512_castpd256_pd512(_mm256_cvtps_pd(_mm256_castps256_ps128(a)));
  return simde_mm512_insertf64x4(low, _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)), 1);
}

inline simde__m512d cvtepi32_pd(__m256i a) {
  const simde__m512d low =
      simde_mm512_castpd256_pd512(_mm256_cvtepi32_pd(_mm256_castsi256_si128(a)));
  return simde_mm512_insertf64x4(low, _mm256_cvtepi32_pd(_mm256_extracti128_si256(a, 1)), 1);
}

inline simde__m512i cvtepu8_epi32(__m128i a) {
  return join(_mm256_cvtepu8_epi32(a), _mm256_cvtepu8_epi32(_mm_srli_si128(a, 8)));
}

inline simde__m512i cvtepu16_epi32(__m256i a) {
  return join(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
              _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1)));
}

inline simde__m512i maskz_loadu_epi8(simde__mmask64 mask, const std::int8_t* p) {
  std::int8_t bytes[64];
  for (int i = 0; i < 64; ++i) bytes[i] = mask >> i & 1 ? p[i] : std::int8_t{0};
  return simde_mm512_loadu_si512(bytes);
}

inline simde__m512 mask_loadu_ps(simde__m512 source, simde__mmask16 mask, const float* p) {
  float lanes[16];
  simde_mm512_storeu_ps(lanes, source);
  for (int i = 0; i < 16; ++i) lanes[i] = mask >> i & 1 ? p[i] : lanes[i];
  return simde_mm512_loadu_ps(lanes);
}

template <class Lane>
void mask_storeu_epi32(Lane* p, simde__mmask16 mask, simde__m512i a) {
  Lane lanes[16];
  simde_mm512_storeu_si512(lanes, a);
  for (int i = 0; i < 16; ++i) {
    if (mask >> i & 1) p[i] = lanes[i];
  }
}

inline simde__m512 cvtph_ps(__m256i halves) {
  return join(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
              _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)));
}

inline simde__m512i cvtepi8_epi32(__m128i bytes) {
  const simde__m512i low = simde_mm512_castsi256_si512(_mm256_cvtepi8_epi32(bytes));
  return simde_mm512_inserti64x4(low, _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)), 1);
}

inline simde__m512 cvtepi32_ps(simde__m512i values) {
  return join(_mm256_cvtepi32_ps(simde_mm512_extracti64x4_epi64(values, 0)),
              _mm256_cvtepi32_ps(simde_mm512_extracti64x4_epi64(values, 1)));
}

/// No lane is NaN.
inline float reduce_min_ps(simde__m512 values) {
  float lanes[16];
  simde_mm512_storeu_ps(lanes, values);
  return *std::min_element(lanes, lanes + 16);
}

inline float reduce_max_ps(simde__m512 values) {
  float lanes[16];
  simde_mm512_storeu_ps(lanes, values);
  return *std::max_element(lanes, lanes + 16);
}

/// Halves are added to halves, as compilers do it.
inline float reduce_add_ps(simde__m512 values) {
  float lanes[16];
  simde_mm512_storeu_ps(lanes, values);
  for (int n = 8; n > 0; n /= 2) {
    for (int i = 0; i < n; ++i) lanes[i] += lanes[i + n];
  }
  return lanes[0];
}

inline int reduce_add_epi32(simde__m512i values) {
  int lanes[16];
  simde_mm512_storeu_si512(lanes, values);
  int sum = 0;
  for (const int lane : lanes) sum += lane;
  return sum;
}

}  // namespace avx512_by_simde

#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(a) avx512_by_simde::cvtph_ps(a)
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32(a) avx512_by_simde::cvtepi8_epi32(a)
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(a) avx512_by_simde::cvtepi32_ps(a)
#undef _mm512_reduce_add_ps
#define _mm512_reduce_add_ps(a) avx512_by_simde::reduce_add_ps(a)
#undef _mm512_reduce_min_ps
#define _mm512_reduce_min_ps(a) avx512_by_simde::reduce_min_ps(a)
#undef _mm512_reduce_max_ps
#define _mm512_reduce_max_ps(a) avx512_by_simde::reduce_max_ps(a)
#undef _mm512_reduce_add_epi32
#define _mm512_reduce_add_epi32(a) avx512_by_simde::reduce_add_epi32(a)
#undef _mm512_madd_epi16  // in 0.7.4 the alias has the arguments of the masked form
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(a) avx512_by_simde::cvtps_epi32(a)
#undef _mm512_cvttps_epi32
#define _mm512_cvttps_epi32(a) avx512_by_simde::cvttps_epi32(a)
#undef _mm512_permute_ps
#define _mm512_permute_ps(a, pattern) avx512_by_simde::permute_ps<pattern>(a)
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4(a, b, pattern) avx512_by_simde::shuffle_f32x4(a, b, pattern)
#undef _mm512_shuffle_i64x2
#define _mm512_shuffle_i64x2(a, b, pattern) avx512_by_simde::shuffle_i64x2(a, b, pattern)
#undef _mm512_cvtps_pd
#define _mm512_cvtps_pd(a) avx512_by_simde::cvtps_pd(a)
#undef _mm512_cvtepi32_pd
#define _mm512_cvtepi32_pd(a) avx512_by_simde::cvtepi32_pd(a)
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32(a) avx512_by_simde::cvtepu8_epi32(a)
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(a) avx512_by_simde::cvtepu16_epi32(a)
#undef _mm512_maskz_loadu_epi8
#define _mm512_maskz_loadu_epi8(mask, p) avx512_by_simde::maskz_loadu_epi8(mask, p)
#undef _mm512_abs_ps
#define _mm512_abs_ps(a) avx512_by_simde::abs_ps(a)
#undef _mm512_mask_loadu_ps
#define _mm512_mask_loadu_ps(source, mask, p) avx512_by_simde::mask_loadu_ps(source, mask, p)
#undef _mm512_mask_storeu_epi32
#define _mm512_mask_storeu_epi32(p, mask, a) avx512_by_simde::mask_storeu_epi32(p, mask, a)
