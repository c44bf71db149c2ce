// Sums of products of int16 in AVX-512 (F and BW), for the kernels of the graph and of the lists.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace paradox {
namespace {

__m512i load_512(const void* p) { return _mm512_loadu_si512(p); }

__m128i sum_of_quarters(__m512i a) {
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

std::int32_t sum_of(__m512i a) {
  __m128i quarter = sum_of_quarters(a);
  quarter = _mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0xb1)));
}

/// Products of int16, two of them to a sum in 32 bits.
struct PairProducts {
  static __m512i add_pairs(__m512i sum, __m512i a, __m512i b) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
  }
};

struct FourVectors {
  __m512i a, b, c, d;

  static FourVectors zero() {
    const __m512i none = _mm512_setzero_si512();
    return {none, none, none, none};
  }
  static FourVectors load(const std::int16_t* p, std::int64_t stride) {
    return {load_512(p), load_512(p + stride), load_512(p + 2 * stride), load_512(p + 3 * stride)};
  }
  template <class Products>
  void add_pairs(__m512i one, const FourVectors& four) {
    a = Products::add_pairs(a, one, four.a);
    b = Products::add_pairs(b, one, four.b);
    c = Products::add_pairs(c, one, four.c);
    d = Products::add_pairs(d, one, four.d);
  }
  /// The sum of each.
  __m128i sums() const {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return sum_of_quarters(
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd)));
  }
};

}  // namespace
}  // namespace paradox
