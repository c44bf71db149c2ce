// The graph's kernels in AVX-512 (F and BW). Shared by the level of that name and the one with
// VNNI, which differ in how products are summed.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "paradox/graph/avx512_sums.hpp"
#include "paradox/graph/graph_kernels.hpp"
#include "paradox/graph/lane_sums.hpp"
#include "paradox/graph/least_distances.hpp"

namespace paradox {
namespace {

__m256i load_256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
__m512i widen(const std::int8_t* p) { return _mm512_cvtepi8_epi16(load_256(p)); }

__m512 floats(const std::int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
__m512 floats(const Half* p) { return _mm512_cvtph_ps(load_256(p)); }

__m256 low_half(__m512 a) { return _mm512_castps512_ps256(a); }
__m256 high_half(__m512 a) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
}

/// The passes over pairs 1, 2, 4 and 8 apart, which lie within a vector.
__m512 hadamard_of_sixteen(__m512 x) {
  const auto pass = [&x](__m512 partner, __mmask16 upper) {
    x = _mm512_mask_sub_ps(_mm512_add_ps(x, partner), upper, partner, x);
  };
  pass(_mm512_permute_ps(x, 0xb1), 0xaaaa);
  pass(_mm512_permute_ps(x, 0x4e), 0xcccc);
  pass(_mm512_shuffle_f32x4(x, x, 0xb1), 0xf0f0);
  pass(_mm512_shuffle_f32x4(x, x, 0x4e), 0xff00);
  return x;
}

void hadamard_avx512(float* values, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += 16) {
    _mm512_storeu_ps(values + j, hadamard_of_sixteen(_mm512_loadu_ps(values + j)));
  }
  for (std::int64_t half = 16; half < n; half *= 2) {
    for (std::int64_t begin = 0; begin < n; begin += 2 * half) {
      for (std::int64_t j = begin; j < begin + half; j += 16) {
        const __m512 a = _mm512_loadu_ps(values + j), b = _mm512_loadu_ps(values + j + half);
        _mm512_storeu_ps(values + j, _mm512_add_ps(a, b));
        _mm512_storeu_ps(values + j + half, _mm512_sub_ps(a, b));
      }
    }
  }
}

float greatest_of(__m512 a) {
  const __m256 half = _mm256_max_ps(low_half(a), high_half(a));
  __m128 quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  quarter = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_max_ss(quarter, _mm_movehdup_ps(quarter)));
}

Extremes extremes_avx512(const float* values, int dim) {
  __m512 value = _mm512_setzero_ps(), sum = value;
  for (int j = 0; j < dim; j += 16) {
    const __m512 absolute = _mm512_abs_ps(_mm512_loadu_ps(values + j));
    value = _mm512_max_ps(value, absolute);
    const __m512 pairs = _mm512_add_ps(absolute, _mm512_permute_ps(absolute, 0xb1));
    sum = _mm512_max_ps(sum, _mm512_add_ps(pairs, _mm512_permute_ps(pairs, 0x4e)));
  }
  return {greatest_of(value), greatest_of(sum)};
}

void to_int16_avx512(const float* values, int dim, float scale, std::int16_t* out) {
  const __m512 factor = _mm512_set1_ps(scale);
  for (int j = 0; j < dim; j += 16) {
    const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(values + j), factor));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + j), _mm512_cvtsepi32_epi16(whole));
  }
}

/// Four groups of four values at once, one in each quarter of a vector.
void sign_table_avx512(const float* values, int dim, float scale, float middle, std::uint8_t* out) {
  const __m512 factor = _mm512_set1_ps(scale), centre = _mm512_set1_ps(middle);
  for (int j = 0; j < dim; j += 16, out += 64) {
    const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(values + j), factor);
    const __m512 a = _mm512_permute_ps(scaled, 0x00), b = _mm512_permute_ps(scaled, 0x55);
    const __m512 c = _mm512_permute_ps(scaled, 0xaa), d = _mm512_permute_ps(scaled, 0xff);
    const __m512 zero = _mm512_setzero_ps();
    const __m512 signed_a = _mm512_mask_sub_ps(a, 0x5555, zero, a);
    const __m512 low = _mm512_mask_sub_ps(_mm512_add_ps(signed_a, b), 0x3333, signed_a, b);
    const auto cut = [=](__m512 high) {
      return _mm512_cvttps_epi32(_mm512_max_ps(_mm512_add_ps(low, high), zero));
    };
    const __m512 less = _mm512_sub_ps(centre, c), more = _mm512_add_ps(centre, c);
    const __m512i first =
        _mm512_packs_epi32(cut(_mm512_sub_ps(less, d)), cut(_mm512_sub_ps(more, d)));
    const __m512i second =
        _mm512_packs_epi32(cut(_mm512_add_ps(less, d)), cut(_mm512_add_ps(more, d)));
    _mm512_storeu_si512(out, _mm512_packus_epi16(first, second));
  }
}

template <class Products>
std::int32_t dot_i16i8_avx512(const std::int16_t* query, const std::int8_t* vector, int dim) {
  __m512i even = _mm512_setzero_si512(), odd = even;
  int j = 0;
  for (; j + 64 <= dim; j += 64) {
    even = Products::add_pairs(even, load_512(query + j), widen(vector + j));
    odd = Products::add_pairs(odd, load_512(query + j + 32), widen(vector + j + 32));
  }
  if (j < dim) even = Products::add_pairs(even, load_512(query + j), widen(vector + j));
  return sum_of(_mm512_add_epi32(even, odd));
}

/// A function of its own: inlined, it has GCC 12 copy all sums at every step of the loop before it
/// (with VNNI 60 instructions in place of 27).
__attribute__((noinline)) void store_sums(const FourVectors (&rows)[4], std::int32_t* out,
                                          std::int64_t stride) {
  for (int r = 0; r < 4; ++r) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + r * stride), rows[r].sums());
  }
}

/// Sixteen sums of thirty-two registers.
template <class Products>
void dots_4x4(const std::int16_t* rows, const std::int16_t* others, std::int64_t dim,
              std::int32_t* out, std::int64_t stride) {
  FourVectors first = FourVectors::zero(), second = first, third = first, fourth = first;
  for (std::int64_t j = 0; j < dim; j += 32) {
    const FourVectors columns = FourVectors::load(others + j, dim);
    first.add_pairs<Products>(load_512(rows + j), columns);
    second.add_pairs<Products>(load_512(rows + dim + j), columns);
    third.add_pairs<Products>(load_512(rows + 2 * dim + j), columns);
    fourth.add_pairs<Products>(load_512(rows + 3 * dim + j), columns);
  }
  store_sums({first, second, third, fourth}, out, stride);
}

template <class Products>
void dots_4x1(const std::int16_t* rows, const std::int16_t* other, std::int64_t dim,
              std::int32_t* out, std::int64_t stride) {
  FourVectors sums = FourVectors::zero();
  for (std::int64_t j = 0; j < dim; j += 32) {
    sums.add_pairs<Products>(load_512(other + j), FourVectors::load(rows + j, dim));
  }
  std::int32_t totals[4];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(totals), sums.sums());
  for (int r = 0; r < 4; ++r) out[r * stride] = totals[r];
}

template <class Products>
void dots_4xn_avx512(const std::int16_t* rows, const std::int16_t* others, std::int64_t n, int dim,
                     std::int32_t* out, std::int64_t stride) {
  std::int64_t j = 0;
  for (; j + 4 <= n; j += 4) dots_4x4<Products>(rows, others + j * dim, dim, out + j, stride);
  for (; j < n; ++j) dots_4x1<Products>(rows, others + j * dim, dim, out + j, stride);
}

__mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>(n < 16 ? (1u << std::max<std::int64_t>(n, 0)) - 1 : 0xffff);
}

/// Sixteen values, or the n that there are and NaN.
__m512 load_up_to(const float* values, std::int64_t n) {
  const __m512 nan = _mm512_set1_ps(std::numeric_limits<float>::quiet_NaN());
  return _mm512_mask_loadu_ps(nan, first_lanes(n), values);
}

/// NaN is no minimum: where a value is one, the second operand is taken.
float bound_avx512(const float* distances, std::int64_t n, int m) {
  __m512 even = _mm512_set1_ps(std::numeric_limits<float>::infinity()), odd = even;
  for (std::int64_t j = 0; j < n; j += kLanes) {
    even = _mm512_min_ps(load_up_to(distances + j, n - j), even);
    odd = _mm512_min_ps(load_up_to(distances + j + 16, n - j - 16), odd);
  }
  alignas(64) float minima[kLanes];
  _mm512_store_ps(minima, even);
  _mm512_store_ps(minima + 16, odd);
  return bound_of(minima, m);
}

std::int64_t least_avx512(const float* distances, std::int64_t n, int m, std::uint32_t* positions) {
  const __m512 bound = _mm512_set1_ps(bound_avx512(distances, n, m));
  const __m512i sixteen = _mm512_set1_epi32(16);
  __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  std::int64_t n_found = 0;
  for (std::int64_t j = 0; j < n; j += 16) {
    const __m512 some = load_up_to(distances + j, n - j);
    const __mmask16 near = _mm512_cmp_ps_mask(some, bound, _CMP_LE_OQ);
    const int n_near = __builtin_popcount(near);
    _mm512_mask_storeu_epi32(positions + n_found, first_lanes(n_near),
                             _mm512_maskz_compress_epi32(near, at));
    n_found += n_near;
    at = _mm512_add_epi32(at, sixteen);
  }
  return n_found;
}

/// Sixteen values at once, but their sums eight by eight, as the order wants it.
void residual_avx512(const Int8Vector& node, const Int8Vector& other, int dim, Residual* out) {
  const __m512 node_scale = _mm512_set1_ps(node.scale), other_scale = _mm512_set1_ps(other.scale);
  const __m512i sign = _mm512_set1_epi32(INT32_MIN);
  __m256 absolute = _mm256_setzero_ps(), node_by_sign = absolute;
  for (int j = 0; j < dim; j += 16) {
    const __m512 value = _mm512_mul_ps(node_scale, floats(node.values + j));
    const __m512 residual =
        _mm512_sub_ps(_mm512_mul_ps(other_scale, floats(other.values + j)), value);
    const __m512i bits = _mm512_castps_si512(residual);
    const __m512 size = _mm512_abs_ps(residual);
    const __m512 by_sign = _mm512_castsi512_ps(
        _mm512_xor_si512(_mm512_castps_si512(value), _mm512_and_si512(sign, bits)));
    absolute = _mm256_add_ps(_mm256_add_ps(absolute, low_half(size)), high_half(size));
    node_by_sign =
        _mm256_add_ps(_mm256_add_ps(node_by_sign, low_half(by_sign)), high_half(by_sign));
    const auto positive = static_cast<std::uint16_t>(~_mm512_test_epi32_mask(bits, sign));
    std::memcpy(out->signs + j / 8, &positive, sizeof positive);
  }
  alignas(32) float parts[8];
  _mm256_store_ps(parts, absolute);
  out->absolute = sum_of_eight(parts);
  _mm256_store_ps(parts, node_by_sign);
  out->node_by_sign = sum_of_eight(parts);
}

/// Sums of sixteen kinds of bytes, one in each quarter of a vector.
struct ByteSums {
  __m512i pairs = _mm512_setzero_si512();  // of the even bytes, plus 256 times the odd ones
  __m512i odd = _mm512_setzero_si512();

  void add(__m512i bytes) {
    pairs = _mm512_add_epi16(pairs, bytes);
    odd = _mm512_add_epi16(odd, _mm512_srli_epi16(bytes, 8));
  }
  /// Those of eight kinds in each quarter: of the first eight two parts, then two of the others.
  /// All sums fit 16 bits, so what overflowed in `pairs` does not count.
  __m512i parts() const {
    const __m512i even = _mm512_sub_epi16(pairs, _mm512_slli_epi16(odd, 8));
    const __m512i first = _mm512_unpacklo_epi16(even, odd);
    const __m512i second = _mm512_unpackhi_epi16(even, odd);
    return _mm512_add_epi16(_mm512_shuffle_i64x2(first, second, 0x44),
                            _mm512_shuffle_i64x2(first, second, 0xee));
  }
};

/// Thirty-two sums of 16 bits. Entries are at most 63, so two of them are added as bytes before
/// they are widened.
__m512i sum_signs(const std::uint8_t* codes, const std::uint8_t* entries, int dim) {
  const __m512i nibble = _mm512_set1_epi8(15);
  ByteSums low, high;
  for (int j = 0; j < dim * 4; j += 128) {
    const __m512i code[2] = {load_512(codes + j), load_512(codes + j + 64)};
    const __m512i table[2] = {load_512(entries + j), load_512(entries + j + 64)};
    const auto lower = [&](int i) {
      return _mm512_shuffle_epi8(table[i], _mm512_and_si512(code[i], nibble));
    };
    const auto upper = [&](int i) {
      const __m512i shifted = _mm512_srli_epi16(code[i], 4);
      return _mm512_shuffle_epi8(table[i], _mm512_and_si512(shifted, nibble));
    };
    low.add(_mm512_add_epi8(lower(0), lower(1)));
    high.add(_mm512_add_epi8(upper(0), upper(1)));
  }
  const __m512i lows = low.parts(), highs = high.parts();
  return _mm512_add_epi16(_mm512_shuffle_i64x2(lows, highs, 0x88),
                          _mm512_shuffle_i64x2(lows, highs, 0xdd));
}

__m512 values_of(const Half* p) { return floats(p); }
__m512 values_of(const EdgeOffset* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m512 roots = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  return _mm512_mul_ps(roots, _mm512_abs_ps(roots));
}
__m512 values_of(const EdgeSlope* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m512 roots = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
  return _mm512_mul_ps(roots, roots);
}

template <class Scan>
std::uint32_t score_block_avx512(const Scan& scan, const SignTable& table, int dim, float* keys) {
  const __m512i sums = sum_signs(scan.codes, table.entries, dim);
  const __m256i halves[2] = {_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1)};
  const __m512 step = _mm512_set1_ps(table.step), base = _mm512_set1_ps(table.base);
  const __m512 offset_scale = _mm512_set1_ps(scan.offset_scale);
  const __m512 slope_scale = _mm512_set1_ps(scan.slope_scale);
  const __m512 key = _mm512_set1_ps(scan.node_key), threshold = _mm512_set1_ps(scan.threshold);
  std::uint32_t below = 0;
  for (int j = 0; j < kEdgeBlock; j += 16) {
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(halves[j / 16]));
    const __m512 product = _mm512_add_ps(_mm512_mul_ps(sum, step), base);
    const __m512 offset = _mm512_mul_ps(offset_scale, values_of(scan.offsets + j));
    const __m512 slope = _mm512_mul_ps(slope_scale, values_of(scan.slopes + j));
    const __m512 result = _mm512_add_ps(key, _mm512_sub_ps(offset, _mm512_mul_ps(slope, product)));
    _mm512_storeu_ps(keys + j, result);
    below |= std::uint32_t{_mm512_cmp_ps_mask(result, threshold, _CMP_LT_OQ)} << j;
  }
  return below;
}

LeastKey least_key_avx512(const float* keys, std::uint32_t n) {
  constexpr std::uint32_t kTogether = 64;
  __m512 least = _mm512_loadu_ps(keys), others = least;
  std::uint32_t j = 16;
  for (; j + 16 < n; j += 32) {
    least = _mm512_min_ps(_mm512_loadu_ps(keys + j), least);
    others = _mm512_min_ps(_mm512_loadu_ps(keys + j + 16), others);
  }
  if (j < n) least = _mm512_min_ps(_mm512_loadu_ps(keys + j), least);
  least = _mm512_min_ps(others, least);
  LeastKey result{_mm512_reduce_min_ps(least), _mm512_reduce_max_ps(least), 0};
  const __m512 its = _mm512_set1_ps(result.key);
  std::uint64_t found = 0;
  for (j = 0; found == 0 && j < n; j += kTogether) {
    for (std::uint32_t i = 0; i < kTogether && j + i < n; i += 16) {
      const __m512 some = _mm512_loadu_ps(keys + j + i);
      found |= std::uint64_t{_mm512_cmp_ps_mask(some, its, _CMP_EQ_OQ)} << i;
    }
    if (found != 0) result.at = j + static_cast<std::uint32_t>(__builtin_ctzll(found));
  }
  return result;
}

/// What `sum_of` of `float64.hpp` is, all parts at once.
template <class EightTerms, class Term>
double sum_by_eight(std::int64_t dim, EightTerms eight_terms, Term term) {
  __m512d sums = _mm512_setzero_pd();
  std::int64_t j = 0;
  for (; j + 8 <= dim; j += 8) sums = _mm512_add_pd(sums, eight_terms(j));
  alignas(64) double parts[8];
  _mm512_store_pd(parts, sums);
  for (int part = 0; j < dim; ++j, ++part) parts[part] += term(j);
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) +
         ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}

__m512d doubles(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }

double squared_distance_avx512(const float* a, const float* b, std::int64_t dim) {
  const auto square = [](double difference) { return difference * difference; };
  return sum_by_eight(
      dim,
      [=](std::int64_t j) {
        const __m512d difference = _mm512_sub_pd(doubles(a + j), doubles(b + j));
        return _mm512_mul_pd(difference, difference);
      },
      [=](std::int64_t j) { return square(double{a[j]} - double{b[j]}); });
}

double dot_product_avx512(const float* a, const float* b, std::int64_t dim) {
  return sum_by_eight(
      dim, [=](std::int64_t j) { return _mm512_mul_pd(doubles(a + j), doubles(b + j)); },
      [=](std::int64_t j) { return double{a[j]} * double{b[j]}; });
}

/// `Products` sums products of int16 in 32 bits: `add_pairs`, and of int8: `dot_i8i8`,
/// `dots_1xn` and `tiles`.
template <class Products>
constexpr GraphKernels avx512_kernels(const char* isa) {
  return {
      isa,
      hadamard_avx512,
      extremes_avx512,
      to_int16_avx512,
      sign_table_avx512,
      dot_i16i8_avx512<Products>,
      Products::dot_i8i8,
      Products::dots_1xn,
      dots_4xn_avx512<Products>,
      Products::tiles(),
      least_avx512,
      residual_avx512,
      score_block_avx512<EdgeScan>,
      score_block_avx512<RowScan>,
      least_key_avx512,
      squared_distance_avx512,
      dot_product_avx512,
  };
}

}  // namespace
}  // namespace paradox
