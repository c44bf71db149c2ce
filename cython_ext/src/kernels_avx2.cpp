// AVX2 with FMA and F16C: eight lanes, sixteen registers, so a tile of 2 vectors by 6 rows.
#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>

#include <cstdint>

#include "paradox/define_kernels.hpp"

namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kTileVectors = 2;
  static constexpr int kTileRows = 6;
  static constexpr int kCodeVectors = 2;
  static constexpr int kCodeRows = 4;
  static constexpr int kByteCells = 2;
  static constexpr int kQueryLimit = 32;
  using Float = __m256;
  using Int = __m256i;

  static Float zero() { return _mm256_setzero_ps(); }
  static Float broadcast(float value) { return _mm256_set1_ps(value); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static Float load(const paradox::Half* p) { return _mm256_cvtph_ps(load_128(p)); }
  static Float load(const std::int8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
  static void store(float* p, Float a) { _mm256_storeu_ps(p, a); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float min_number(Float a, Float b) { return _mm256_min_ps(a, b); }  // b where a is NaN
  static float sum(Float a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  }
  static unsigned not_greater_equal(Float a, Float b) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NGE_UQ)));
  }

  static Int broadcast_i32(std::int32_t value) { return _mm256_set1_epi32(value); }
  static Int zero_int() { return _mm256_setzero_si256(); }
  static Int load_wide(const std::int8_t* p) { return _mm256_cvtepi8_epi16(load_128(p)); }
  static Int load_pairs(const std::int16_t* p) { return load_256(p); }
  static Int load_i32(const std::int32_t* p) { return load_256(p); }
  static Int broadcast_pair(const std::int16_t* p) {
    std::int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return _mm256_set1_epi32(pair);
  }
  static void store(std::int32_t* p, Int a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a);
  }
  static Float to_float(Int a) { return _mm256_cvtepi32_ps(a); }
  static Int sub_i32(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Int sub_i16(Int a, Int b) { return _mm256_sub_epi16(a, b); }
  static Int add_i32(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int dot_i16(Int a, Int b, Int sum) { return add_i32(sum, _mm256_madd_epi16(a, b)); }
  /// The sum of the lanes of each.
  static Int totals(const Int (&rows)[kLanes]) {
    const auto four = [&](int i) {
      return _mm256_hadd_epi32(_mm256_hadd_epi32(rows[i], rows[i + 1]),
                               _mm256_hadd_epi32(rows[i + 2], rows[i + 3]));
    };
    const Int a = four(0), b = four(4);
    return add_i32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
  }

  static Int broadcast_cell(const std::uint8_t* p) {
    std::int32_t cell;
    std::memcpy(&cell, p, sizeof cell);
    return _mm256_set1_epi32(cell);
  }
  template <class Byte>
  static Int load_cells(const Byte* p) {
    return load_256(p);
  }
  /// Two cells are summed in 16 bits: 4 * 255 * kQueryLimit = 32,640 cannot saturate.
  static Int dot_bytes(const Int (&codes)[2], const Int (&queries)[2], Int sum) {
    const Int first = _mm256_maddubs_epi16(codes[0], queries[0]);
    const Int both = _mm256_add_epi16(first, _mm256_maddubs_epi16(codes[1], queries[1]));
    return add_i32(sum, _mm256_madd_epi16(both, _mm256_set1_epi16(1)));
  }
  static std::int64_t sum(Int a) {
    std::int32_t lanes[kLanes];
    store(lanes, a);
    std::int64_t result = 0;
    for (const std::int32_t lane : lanes) result += lane;
    return result;
  }

 private:
  static __m128i load_128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static __m256i load_256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
};

}  // namespace

PARADOX_DEFINE_KERNELS(avx2, Avx2)

#endif
