// AVX2.
#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>

#include <cstdint>

#include "paradox/graph/lane_sums.hpp"
#include "paradox/ivf/few_distances.hpp"
#include "paradox/ivf/ivf_avx2.hpp"

namespace paradox {
namespace {

__m256i load(const std::int16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/// Four vectors of eight sums to four sums.
__m128i sums_of(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
  return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

void dots_1xn_avx2(const std::int16_t* row, const std::int16_t* others, std::int64_t n, int dim,
                   std::int32_t* out) {
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4, others += 4 * std::int64_t{dim}) {
    __m256i sums[4] = {};
    for (int j = 0; j < dim; j += 16) {
      const __m256i mine = load(row + j);
      for (int r = 0; r < 4; ++r) {
        const __m256i theirs = load(others + std::int64_t{r} * dim + j);
        sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(mine, theirs));
      }
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     sums_of(sums[0], sums[1], sums[2], sums[3]));
  }
  for (; i < n; ++i, others += dim) {
    __m256i sum = _mm256_setzero_si256();
    for (int j = 0; j < dim; j += 16) {
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(row + j), load(others + j)));
    }
    out[i] = _mm_cvtsi128_si32(sums_of(sum, sum, sum, sum));
  }
}

__m256 eight(const float* p) { return _mm256_loadu_ps(p); }

/// Sums four by four.
void add_scaled_avx2(const std::int16_t* row, double scale, int dim, double* sums) {
  const __m256d factor = _mm256_set1_pd(scale);
  for (int j = 0; j < dim; j += 4) {
    const __m128i words = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + j));
    const __m256d value = _mm256_mul_pd(factor, _mm256_cvtepi32_pd(_mm_cvtepi16_epi32(words)));
    _mm256_storeu_pd(sums + j, _mm256_add_pd(_mm256_loadu_pd(sums + j), value));
  }
}

__m256 as_floats(__m128i words) { return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(words)); }

}  // namespace

std::int64_t distances_avx2(const PointNorm& row, const PointNorms& others,
                            const std::int32_t* dots, float* out) {
  constexpr std::int64_t kLanes = 8;
  const std::int64_t n = others.n;
  if (n < kLanes) return few_distances(row, others, dots, out);
  const __m256 scale = _mm256_set1_ps(row.scale), square = _mm256_set1_ps(row.square);
  const __m256 two = _mm256_set1_ps(2.0f), zero = _mm256_setzero_ps();
  __m256 least = _mm256_set1_ps(__builtin_inff());
  const auto measure = [&](std::int64_t j) {
    const __m256i whole = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(dots + j));
    const __m256 twice = _mm256_mul_ps(two, _mm256_mul_ps(scale, eight(others.scales + j)));
    const __m256 product = _mm256_mul_ps(twice, _mm256_cvtepi32_ps(whole));
    const __m256 squares = _mm256_add_ps(square, eight(others.squares + j));
    const __m256 distance = _mm256_max_ps(zero, _mm256_sub_ps(squares, product));
    _mm256_storeu_ps(out + j, distance);
    least = _mm256_min_ps(distance, least);
  };
  std::int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) measure(j);
  if (j < n) measure(n - kLanes);  // some of them again
  const __m256 wanted = _mm256_set1_ps(least_of(least));
  for (j = 0;; j = std::min(j + kLanes, n - kLanes)) {
    const int found = _mm256_movemask_ps(_mm256_cmp_ps(eight(out + j), wanted, _CMP_EQ_OQ));
    if (found != 0) return j + __builtin_ctz(static_cast<unsigned>(found));
    if (j == n - kLanes) return 0;
  }
}

ResidualSums residual_avx2(const float* vector, const std::int16_t* centre, float scale, int dim,
                           float* out, std::uint8_t* signs) {
  const __m256 factor = _mm256_set1_ps(scale), sign = _mm256_set1_ps(-0.0f);
  __m256 absolute = _mm256_setzero_ps(), squares = absolute, by_sign = absolute, most = absolute;
  for (int j = 0; j < dim; j += 8) {
    const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(centre + j));
    const __m256 value = _mm256_mul_ps(factor, as_floats(words));
    const __m256 residual = _mm256_sub_ps(_mm256_loadu_ps(vector + j), value);
    const __m256 magnitude = _mm256_andnot_ps(sign, residual);
    _mm256_storeu_ps(out + j, residual);
    absolute = _mm256_add_ps(absolute, magnitude);
    squares = _mm256_add_ps(squares, _mm256_mul_ps(residual, residual));
    by_sign = _mm256_add_ps(by_sign, _mm256_xor_ps(value, _mm256_and_ps(sign, residual)));
    most = _mm256_max_ps(most, magnitude);
    signs[j / 8] = static_cast<std::uint8_t>(~_mm256_movemask_ps(residual));
  }
  alignas(32) float parts[8];
  const auto total = [&parts](__m256 sums) {
    _mm256_store_ps(parts, sums);
    return sum_of_eight(parts);
  };
  ResidualSums sums{total(absolute), total(squares), total(by_sign), 0.0f};
  _mm256_store_ps(parts, most);
  for (const float part : parts) sums.greatest = part > sums.greatest ? part : sums.greatest;
  return sums;
}

void to_int8_avx2(const float* values, int dim, float scale, std::int8_t* out) {
  const __m256 factor = _mm256_set1_ps(scale);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (int j = 0; j < dim; j += 32) {
    const auto rounded = [&](int at) {
      return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values + at), factor));
    };
    const __m256i low = _mm256_packs_epi32(rounded(j), rounded(j + 8));
    const __m256i high = _mm256_packs_epi32(rounded(j + 16), rounded(j + 24));
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + j), bytes);
  }
}

extern const IvfKernels ivf_kernels_avx2;
const IvfKernels ivf_kernels_avx2 = {
    "avx2", dots_1xn_avx2, distances_avx2, add_scaled_avx2, residual_avx2, to_int8_avx2,
};

}  // namespace paradox

#endif
