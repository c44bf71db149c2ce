// NEON, which every arm64 machine has.
#if defined(__aarch64__)

#include <arm_neon.h>

#include <algorithm>
#include <cstdint>

#include "paradox/graph/lane_sums.hpp"
#include "paradox/ivf/few_distances.hpp"
#include "paradox/ivf/ivf_kernels.hpp"

namespace paradox {
namespace {

int32x4_t add_products(int32x4_t sum, int16x8_t a, int16x8_t b) {
  return vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b);
}

void dots_1xn_neon(const std::int16_t* row, const std::int16_t* others, std::int64_t n, int dim,
                   std::int32_t* out) {
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4, others += 4 * std::int64_t{dim}) {
    int32x4_t sums[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (int j = 0; j < dim; j += 8) {
      const int16x8_t mine = vld1q_s16(row + j);
      for (int r = 0; r < 4; ++r) {
        sums[r] = add_products(sums[r], mine, vld1q_s16(others + std::int64_t{r} * dim + j));
      }
    }
    vst1q_s32(out + i, vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3])));
  }
  for (; i < n; ++i, others += dim) {
    int32x4_t sum = vdupq_n_s32(0);
    for (int j = 0; j < dim; j += 8) {
      sum = add_products(sum, vld1q_s16(row + j), vld1q_s16(others + j));
    }
    out[i] = vaddvq_s32(sum);
  }
}

std::int64_t distances_neon(const PointNorm& row, const PointNorms& others,
                            const std::int32_t* dots, float* out) {
  constexpr std::int64_t kLanes = 4;
  const std::int64_t n = others.n;
  if (n < kLanes) return few_distances(row, others, dots, out);
  const float32x4_t square = vdupq_n_f32(row.square), two = vdupq_n_f32(2.0f);
  const float32x4_t zero = vdupq_n_f32(0.0f);
  float32x4_t least = vdupq_n_f32(__builtin_inff());
  const auto measure = [&](std::int64_t j) {
    const float32x4_t twice = vmulq_f32(two, vmulq_n_f32(vld1q_f32(others.scales + j), row.scale));
    const float32x4_t product = vmulq_f32(twice, vcvtq_f32_s32(vld1q_s32(dots + j)));
    const float32x4_t found = vsubq_f32(vaddq_f32(square, vld1q_f32(others.squares + j)), product);
    const float32x4_t distance = vbslq_f32(vcltq_f32(found, zero), zero, found);
    vst1q_f32(out + j, distance);
    least = vminq_f32(least, distance);
  };
  std::int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) measure(j);
  if (j < n) measure(n - kLanes);  // some of them again
  const float wanted = vminvq_f32(least);
  for (j = 0; j + kLanes <= n; j += kLanes) {
    if (vmaxvq_u32(vceqq_f32(vld1q_f32(out + j), vdupq_n_f32(wanted))) != 0) break;
  }
  for (; j < n; ++j) {
    if (out[j] == wanted) return j;
  }
  return 0;
}

void add_scaled_neon(const std::int16_t* row, double scale, int dim, double* sums) {
  for (int j = 0; j < dim; j += 4) {
    const int32x4_t whole = vmovl_s16(vld1_s16(row + j));
    const float64x2_t low = vcvtq_f64_s64(vmovl_s32(vget_low_s32(whole)));
    const float64x2_t high = vcvtq_f64_s64(vmovl_high_s32(whole));
    vst1q_f64(sums + j, vaddq_f64(vld1q_f64(sums + j), vmulq_n_f64(low, scale)));
    vst1q_f64(sums + j + 2, vaddq_f64(vld1q_f64(sums + j + 2), vmulq_n_f64(high, scale)));
  }
}

/// Four of the eight parts.
struct FourParts {
  float32x4_t absolute = vdupq_n_f32(0.0f), squares = absolute, by_sign = absolute, most = absolute;

  /// Writes the residual; returns the signs: ones where it is negative.
  uint32x4_t add(float32x4_t vector, float32x4_t value, float* out) {
    const float32x4_t residual = vsubq_f32(vector, value), magnitude = vabsq_f32(residual);
    const uint32x4_t sign = vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_f32(residual), 31));
    vst1q_f32(out, residual);
    absolute = vaddq_f32(absolute, magnitude);
    squares = vaddq_f32(squares, vmulq_f32(residual, residual));
    by_sign = vaddq_f32(by_sign, vbslq_f32(sign, vnegq_f32(value), value));
    most = vmaxq_f32(most, magnitude);
    return sign;
  }
};

float total(float32x4_t low, float32x4_t high) {
  float parts[8];
  vst1q_f32(parts, low);
  vst1q_f32(parts + 4, high);
  return sum_of_eight(parts);
}

ResidualSums residual_neon(const float* vector, const std::int16_t* centre, float scale, int dim,
                           float* out, std::uint8_t* signs) {
  const std::uint16_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint16x8_t weights = vld1q_u16(bits);
  FourParts low, high;
  const auto scaled = [scale](int32x4_t whole) { return vmulq_n_f32(vcvtq_f32_s32(whole), scale); };
  for (int j = 0; j < dim; j += 8) {
    const int16x8_t words = vld1q_s16(centre + j);
    const uint32x4_t first =
        low.add(vld1q_f32(vector + j), scaled(vmovl_s16(vget_low_s16(words))), out + j);
    const uint32x4_t second =
        high.add(vld1q_f32(vector + j + 4), scaled(vmovl_high_s16(words)), out + j + 4);
    const uint16x8_t negative = vcombine_u16(vmovn_u32(first), vmovn_u32(second));
    signs[j / 8] = static_cast<std::uint8_t>(vaddvq_u16(vbicq_u16(weights, negative)));
  }
  return {total(low.absolute, high.absolute), total(low.squares, high.squares),
          total(low.by_sign, high.by_sign), vmaxvq_f32(vmaxq_f32(low.most, high.most))};
}

void to_int8_neon(const float* values, int dim, float scale, std::int8_t* out) {
  const auto rounded = [&](int at) {
    return vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(values + at), scale)));
  };
  for (int j = 0; j < dim; j += 8) {
    vst1_s8(out + j, vqmovn_s16(vcombine_s16(rounded(j), rounded(j + 4))));
  }
}

}  // namespace

extern const IvfKernels ivf_kernels_neon;
const IvfKernels ivf_kernels_neon = {
    "neon", dots_1xn_neon, distances_neon, add_scaled_neon, residual_neon, to_int8_neon,
};

}  // namespace paradox

#endif
