// AVX2 with F16C.
#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>

#include <cstdint>

#include "paradox/graph/graph_kernels.hpp"
#include "paradox/graph/int16_tiles.hpp"
#include "paradox/graph/lane_sums.hpp"
#include "paradox/graph/least_distances.hpp"
#include "paradox/graph/least_key.hpp"

namespace paradox {
namespace {

__m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

__m256i widen(const std::int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

std::int32_t sum_of(__m256i a) {
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

/// The passes over pairs 1, 2 and 4 apart, which lie within a vector.
__m256 hadamard_of_eight(__m256 x) {
  const __m256 odd = _mm256_setr_ps(0, -0.0f, 0, -0.0f, 0, -0.0f, 0, -0.0f);
  const __m256 upper_two = _mm256_setr_ps(0, 0, -0.0f, -0.0f, 0, 0, -0.0f, -0.0f);
  const __m256 upper_four = _mm256_setr_ps(0, 0, 0, 0, -0.0f, -0.0f, -0.0f, -0.0f);
  x = _mm256_add_ps(_mm256_permute_ps(x, 0xb1), _mm256_xor_ps(x, odd));
  x = _mm256_add_ps(_mm256_permute_ps(x, 0x4e), _mm256_xor_ps(x, upper_two));
  return _mm256_add_ps(_mm256_permute2f128_ps(x, x, 1), _mm256_xor_ps(x, upper_four));
}

void hadamard_avx2(float* values, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += 8) {
    _mm256_storeu_ps(values + j, hadamard_of_eight(_mm256_loadu_ps(values + j)));
  }
  for (std::int64_t half = 8; half < n; half *= 2) {
    for (std::int64_t begin = 0; begin < n; begin += 2 * half) {
      for (std::int64_t j = begin; j < begin + half; j += 8) {
        const __m256 a = _mm256_loadu_ps(values + j), b = _mm256_loadu_ps(values + j + half);
        _mm256_storeu_ps(values + j, _mm256_add_ps(a, b));
        _mm256_storeu_ps(values + j + half, _mm256_sub_ps(a, b));
      }
    }
  }
}

float greatest_of(__m256 a) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

Extremes extremes_avx2(const float* values, int dim) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 value = _mm256_setzero_ps(), sum = value;
  for (int j = 0; j < dim; j += 8) {
    const __m256 absolute = _mm256_andnot_ps(sign, _mm256_loadu_ps(values + j));
    value = _mm256_max_ps(value, absolute);
    const __m256 pairs = _mm256_hadd_ps(absolute, absolute);
    sum = _mm256_max_ps(sum, _mm256_hadd_ps(pairs, pairs));
  }
  return {greatest_of(value), greatest_of(sum)};
}

void to_int16_avx2(const float* values, int dim, float scale, std::int16_t* out) {
  const __m256 factor = _mm256_set1_ps(scale);
  for (int j = 0; j < dim; j += 16) {
    const auto rounded = [&](int at) {
      return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values + at), factor));
    };
    const __m256i packed = _mm256_packs_epi32(rounded(j), rounded(j + 8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + j),
                        _mm256_permute4x64_epi64(packed, 0xd8));
  }
}

void sign_table_avx2(const float* values, int dim, float scale, float middle, std::uint8_t* out) {
  for (int j = 0; j < dim; j += 4, out += 16) {
    const float a = values[j] * scale, b = values[j + 1] * scale;
    const float c = values[j + 2] * scale, d = values[j + 3] * scale;
    const __m128 low = _mm_setr_ps(-a - b, a - b, b - a, a + b);
    const auto cut = [low](float high) {
      return _mm_cvttps_epi32(_mm_max_ps(_mm_add_ps(low, _mm_set1_ps(high)), _mm_setzero_ps()));
    };
    const __m128i first = _mm_packs_epi32(cut(middle - c - d), cut(middle + c - d));
    const __m128i second = _mm_packs_epi32(cut(middle - c + d), cut(middle + c + d));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(first, second));
  }
}

std::int32_t dot_i16i8_avx2(const std::int16_t* query, const std::int8_t* vector, int dim) {
  __m256i even = _mm256_setzero_si256(), odd = even;
  for (int j = 0; j < dim; j += 32) {
    even = _mm256_add_epi32(even, _mm256_madd_epi16(load(query + j), widen(vector + j)));
    odd = _mm256_add_epi32(odd, _mm256_madd_epi16(load(query + j + 16), widen(vector + j + 16)));
  }
  return sum_of(_mm256_add_epi32(even, odd));
}

std::int32_t dot_i8i8_avx2(const std::int8_t* a, const std::int8_t* b, int dim) {
  __m256i even = _mm256_setzero_si256(), odd = even;
  for (int j = 0; j < dim; j += 32) {
    even = _mm256_add_epi32(even, _mm256_madd_epi16(widen(a + j), widen(b + j)));
    odd = _mm256_add_epi32(odd, _mm256_madd_epi16(widen(a + j + 16), widen(b + j + 16)));
  }
  return sum_of(_mm256_add_epi32(even, odd));
}

struct ThreeVectors {
  __m256i a, b, c;

  static ThreeVectors zero() {
    const __m256i none = _mm256_setzero_si256();
    return {none, none, none};
  }
  static ThreeVectors load_each(const std::int16_t* p, std::int64_t stride) {
    return {load(p), load(p + stride), load(p + 2 * stride)};
  }
  void add_pairs(__m256i one, const ThreeVectors& three) {
    a = _mm256_add_epi32(a, _mm256_madd_epi16(one, three.a));
    b = _mm256_add_epi32(b, _mm256_madd_epi16(one, three.b));
    c = _mm256_add_epi32(c, _mm256_madd_epi16(one, three.c));
  }
};

/// A function of its own: inlined, it has GCC 12 copy the sums at every step of the loop before it,
/// which is 1.6 times as slow (AMD Zen 3, 128 to 1,024 dimensions).
__attribute__((noinline)) void store_sums(const ThreeVectors (&rows)[4], std::int32_t* out,
                                          std::int64_t stride) {
  for (const ThreeVectors& row : rows) {
    out[0] = sum_of(row.a);
    out[1] = sum_of(row.b);
    out[2] = sum_of(row.c);
    out += stride;
  }
}

/// Twelve sums of sixteen registers.
void dots_4x3(const std::int16_t* rows, const std::int16_t* others, std::int64_t dim,
              std::int32_t* out, std::int64_t stride) {
  ThreeVectors first = ThreeVectors::zero(), second = first, third = first, fourth = first;
  for (std::int64_t j = 0; j < dim; j += 16) {
    const ThreeVectors columns = ThreeVectors::load_each(others + j, dim);
    first.add_pairs(load(rows + j), columns);
    second.add_pairs(load(rows + dim + j), columns);
    third.add_pairs(load(rows + 2 * dim + j), columns);
    fourth.add_pairs(load(rows + 3 * dim + j), columns);
  }
  store_sums({first, second, third, fourth}, out, stride);
}

std::int32_t dot_i16i16(const std::int16_t* a, const std::int16_t* b, std::int64_t dim) {
  __m256i sum = _mm256_setzero_si256();
  for (std::int64_t j = 0; j < dim; j += 16) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(a + j), load(b + j)));
  }
  return sum_of(sum);
}

void dots_4xn_avx2(const std::int16_t* rows, const std::int16_t* others, std::int64_t n, int dim,
                   std::int32_t* out, std::int64_t stride) {
  std::int64_t j = 0;
  for (; j + 3 <= n; j += 3) dots_4x3(rows, others + j * dim, dim, out + j, stride);
  for (; j < n; ++j) {
    for (std::int64_t r = 0; r < 4; ++r) {
      out[r * stride + j] = dot_i16i16(rows + r * dim, others + j * dim, dim);
    }
  }
}

void residual_avx2(const Int8Vector& node, const Int8Vector& other, int dim, Residual* out) {
  const __m256 node_scale = _mm256_set1_ps(node.scale), other_scale = _mm256_set1_ps(other.scale);
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const auto floats = [](const std::int8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  };
  __m256 absolute = _mm256_setzero_ps(), node_by_sign = absolute;
  for (int j = 0; j < dim; j += 8) {
    const __m256 value = _mm256_mul_ps(node_scale, floats(node.values + j));
    const __m256 residual =
        _mm256_sub_ps(_mm256_mul_ps(other_scale, floats(other.values + j)), value);
    absolute = _mm256_add_ps(absolute, _mm256_andnot_ps(sign, residual));
    node_by_sign = _mm256_add_ps(node_by_sign, _mm256_xor_ps(value, _mm256_and_ps(sign, residual)));
    out->signs[j / 8] = static_cast<std::uint8_t>(~_mm256_movemask_ps(residual));
  }
  alignas(32) float parts[8];
  _mm256_store_ps(parts, absolute);
  out->absolute = sum_of_eight(parts);
  _mm256_store_ps(parts, node_by_sign);
  out->node_by_sign = sum_of_eight(parts);
}

/// Sums of bytes at even places, and those at odd ones, to sixteen 16-bit sums in order.
void interleave(__m256i even, __m256i odd, std::uint16_t* out) {
  const __m128i low =
      _mm_add_epi16(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
  const __m128i high = _mm_add_epi16(_mm256_castsi256_si128(odd), _mm256_extracti128_si256(odd, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi16(low, high));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 8), _mm_unpackhi_epi16(low, high));
}

/// Entries are at most 63, so four of them are added as bytes before they are widened.
void sum_signs(const std::uint8_t* codes, const std::uint8_t* entries, int dim,
               std::uint16_t* sums) {
  const __m256i nibble = _mm256_set1_epi8(15), byte = _mm256_set1_epi16(255);
  __m256i low_even = _mm256_setzero_si256(), low_odd = low_even;
  __m256i high_even = low_even, high_odd = low_even;
  for (int j = 0; j < dim * 4; j += 128) {
    __m256i low = _mm256_setzero_si256(), high = low;
    for (int k = j; k < j + 128; k += 32) {
      const __m256i code = load(codes + k), table = load(entries + k);
      low = _mm256_add_epi8(low, _mm256_shuffle_epi8(table, _mm256_and_si256(code, nibble)));
      const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(code, 4), nibble);
      high = _mm256_add_epi8(high, _mm256_shuffle_epi8(table, upper));
    }
    low_even = _mm256_add_epi16(low_even, _mm256_and_si256(low, byte));
    low_odd = _mm256_add_epi16(low_odd, _mm256_srli_epi16(low, 8));
    high_even = _mm256_add_epi16(high_even, _mm256_and_si256(high, byte));
    high_odd = _mm256_add_epi16(high_odd, _mm256_srli_epi16(high, 8));
  }
  interleave(low_even, low_odd, sums);
  interleave(high_even, high_odd, sums + 16);
}

__m256 values_of(const Half* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
__m256 values_of(const EdgeOffset* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  const __m256 roots = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  return _mm256_mul_ps(roots, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), roots));
}
__m256 values_of(const EdgeSlope* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  const __m256 roots = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
  return _mm256_mul_ps(roots, roots);
}

template <class Scan>
std::uint32_t score_block_avx2(const Scan& scan, const SignTable& table, int dim, float* keys) {
  alignas(32) std::uint16_t sums[kEdgeBlock];
  sum_signs(scan.codes, table.entries, dim, sums);
  const __m256 step = _mm256_set1_ps(table.step), base = _mm256_set1_ps(table.base);
  const __m256 offset_scale = _mm256_set1_ps(scan.offset_scale);
  const __m256 slope_scale = _mm256_set1_ps(scan.slope_scale);
  const __m256 key = _mm256_set1_ps(scan.node_key), threshold = _mm256_set1_ps(scan.threshold);
  std::uint32_t below = 0;
  for (int j = 0; j < kEdgeBlock; j += 8) {
    const __m128i narrow = _mm_load_si128(reinterpret_cast<const __m128i*>(sums + j));
    const __m256 sum = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(narrow));
    const __m256 product = _mm256_add_ps(_mm256_mul_ps(sum, step), base);
    const __m256 offset = _mm256_mul_ps(offset_scale, values_of(scan.offsets + j));
    const __m256 slope = _mm256_mul_ps(slope_scale, values_of(scan.slopes + j));
    const __m256 result = _mm256_add_ps(key, _mm256_sub_ps(offset, _mm256_mul_ps(slope, product)));
    _mm256_storeu_ps(keys + j, result);
    const int bits = _mm256_movemask_ps(_mm256_cmp_ps(result, threshold, _CMP_LT_OQ));
    below |= static_cast<std::uint32_t>(bits) << j;
  }
  return below;
}

__m256d four(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }

/// What `sum_of` is, four terms at a time.
template <class FourTerms, class Term>
double sum_by_four(std::int64_t dim, FourTerms four_terms, Term term) {
  __m256d low = _mm256_setzero_pd(), high = low;
  std::int64_t j = 0;
  for (; j + 8 <= dim; j += 8) {
    low = _mm256_add_pd(low, four_terms(j));
    high = _mm256_add_pd(high, four_terms(j + 4));
  }
  alignas(32) double parts[8];
  _mm256_store_pd(parts, low);
  _mm256_store_pd(parts + 4, high);
  for (int part = 0; j < dim; ++j, ++part) parts[part] += term(j);
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) +
         ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}

double squared_distance_avx2(const float* a, const float* b, std::int64_t dim) {
  const auto square = [](auto difference) { return difference * difference; };
  return sum_by_four(
      dim,
      [=](std::int64_t j) {
        const __m256d difference = _mm256_sub_pd(four(a + j), four(b + j));
        return _mm256_mul_pd(difference, difference);
      },
      [=](std::int64_t j) { return square(double{a[j]} - double{b[j]}); });
}

double dot_product_avx2(const float* a, const float* b, std::int64_t dim) {
  return sum_by_four(
      dim, [=](std::int64_t j) { return _mm256_mul_pd(four(a + j), four(b + j)); },
      [=](std::int64_t j) { return double{a[j]} * double{b[j]}; });
}

}  // namespace

extern const GraphKernels graph_kernels_avx2;
const GraphKernels graph_kernels_avx2 = {
    "avx2",
    hadamard_avx2,
    extremes_avx2,
    to_int16_avx2,
    sign_table_avx2,
    dot_i16i8_avx2,
    dot_i8i8_avx2,
    dots_one_by_one<dot_i8i8_avx2>,
    dots_4xn_avx2,
    int16_tiles<dots_4xn_avx2>(),
    least_of,
    residual_avx2,
    score_block_avx2<EdgeScan>,
    score_block_avx2<RowScan>,
    least_key_of_lanes,
    squared_distance_avx2,
    dot_product_avx2,
};

}  // namespace paradox

#endif
