// Included before `kernels_avx512.cpp`, gives it AVX-512 made of AVX2: SIMDe, and what SIMDe 0.7.4
// lacks of the intrinsics used there.
#pragma once

#include <immintrin.h>  // first, so that its own names are not taken for the aliases

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

namespace avx512_by_simde {

inline simde__m512 join(__m256 low, __m256 high) {
  const simde__m512 both = simde_mm512_castps256_ps512(low);
  return simde_mm512_insertf32x8(both, high, 1);
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
#undef _mm512_reduce_add_epi32
#define _mm512_reduce_add_epi32(a) avx512_by_simde::reduce_add_epi32(a)
#undef _mm512_madd_epi16  // in 0.7.4 the alias has the arguments of the masked form
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
