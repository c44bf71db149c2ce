// AVX-512 (F and BW): sixteen lanes, thirty-two registers, so a tile of 3 vectors by 8 rows. Shared
// by the level of that name and the one with VNNI.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "paradox/matrix.hpp"

namespace {

struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kTileVectors = 3;
  static constexpr int kTileRows = 8;
  static constexpr int kCodeVectors = 3;
  static constexpr int kCodeRows = 6;
  static constexpr int kByteCells = 2;
  static constexpr int kQueryLimit = 32;
  using Float = __m512;
  using Int = __m512i;

  static Float zero() { return _mm512_setzero_ps(); }
  static Float broadcast(float value) { return _mm512_set1_ps(value); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static Float load(const paradox::Half* p) { return _mm512_cvtph_ps(load_256(p)); }
  static Float load(const std::int8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  }
  static void store(float* p, Float a) { _mm512_storeu_ps(p, a); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float min_number(Float a, Float b) { return _mm512_min_ps(a, b); }  // b where a is NaN
  static float sum(Float a) { return _mm512_reduce_add_ps(a); }
  static unsigned not_greater_equal(Float a, Float b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_NGE_UQ);
  }

  static Int broadcast_i32(std::int32_t value) { return _mm512_set1_epi32(value); }
  static Int zero_int() { return _mm512_setzero_si512(); }
  static Int load_wide(const std::int8_t* p) { return _mm512_cvtepi8_epi16(load_256(p)); }
  static Int load_pairs(const std::int16_t* p) { return _mm512_loadu_si512(p); }
  static Int load_i32(const std::int32_t* p) { return _mm512_loadu_si512(p); }
  static Int broadcast_pair(const std::int16_t* p) {
    std::int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
  static void store(std::int32_t* p, Int a) { _mm512_storeu_si512(p, a); }
  static Float to_float(Int a) { return _mm512_cvtepi32_ps(a); }
  static Int sub_i32(Int a, Int b) { return _mm512_sub_epi32(a, b); }
  static Int sub_i16(Int a, Int b) { return _mm512_sub_epi16(a, b); }
  static Int add_i32(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int dot_i16(Int a, Int b, Int sum) { return add_i32(sum, _mm512_madd_epi16(a, b)); }
  /// The sum of the lanes of each.
  static Int totals(const Int (&rows)[kLanes]) {
    std::int32_t sums[kLanes];
    for (int i = 0; i < kLanes; ++i) sums[i] = _mm512_reduce_add_epi32(rows[i]);
    return load_i32(sums);
  }

  static Int broadcast_cell(const std::uint8_t* p) {
    std::int32_t cell;
    std::memcpy(&cell, p, sizeof cell);
    return _mm512_set1_epi32(cell);
  }
  template <class Byte>
  static Int load_cells(const Byte* p) {
    return _mm512_loadu_si512(p);
  }
  /// Two cells are summed in 16 bits: 4 * 255 * kQueryLimit = 32,640 cannot saturate.
  static Int dot_bytes(const Int (&codes)[2], const Int (&queries)[2], Int sum) {
    const Int first = _mm512_maddubs_epi16(codes[0], queries[0]);
    const Int both = _mm512_add_epi16(first, _mm512_maddubs_epi16(codes[1], queries[1]));
    return add_i32(sum, _mm512_madd_epi16(both, _mm512_set1_epi16(1)));
  }
  static std::int64_t sum(Int a) {
    std::int32_t lanes[kLanes];
    store(lanes, a);
    std::int64_t result = 0;
    for (const std::int32_t lane : lanes) result += lane;
    return result;
  }

 private:
  static __m256i load_256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
};

}  // namespace
