// NEON, which every arm64 machine has.
#if defined(__aarch64__)

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "paradox/graph/graph_kernels.hpp"
#include "paradox/graph/int16_tiles.hpp"
#include "paradox/graph/lane_sums.hpp"
#include "paradox/graph/least_distances.hpp"
#include "paradox/graph/least_key.hpp"

namespace paradox {
namespace {

/// The passes over pairs 1 and 2 apart, of sixteen values: those of one place in their group of
/// four make a vector.
void hadamard_of_fours(float* values) {
  float32x4x4_t v = vld4q_f32(values);
  const float32x4_t a = vaddq_f32(v.val[0], v.val[1]), b = vsubq_f32(v.val[0], v.val[1]);
  const float32x4_t c = vaddq_f32(v.val[2], v.val[3]), d = vsubq_f32(v.val[2], v.val[3]);
  v = {{vaddq_f32(a, c), vaddq_f32(b, d), vsubq_f32(a, c), vsubq_f32(b, d)}};
  vst4q_f32(values, v);
}

void hadamard_neon(float* values, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += 16) hadamard_of_fours(values + j);
  for (std::int64_t half = 4; half < n; half *= 2) {
    for (std::int64_t begin = 0; begin < n; begin += 2 * half) {
      for (std::int64_t j = begin; j < begin + half; j += 4) {
        const float32x4_t a = vld1q_f32(values + j), b = vld1q_f32(values + j + half);
        vst1q_f32(values + j, vaddq_f32(a, b));
        vst1q_f32(values + j + half, vsubq_f32(a, b));
      }
    }
  }
}

Extremes extremes_neon(const float* values, int dim) {
  float32x4_t value = vdupq_n_f32(0.0f), sum = value;
  for (int j = 0; j < dim; j += 8) {
    const float32x4_t first = vabsq_f32(vld1q_f32(values + j));
    const float32x4_t second = vabsq_f32(vld1q_f32(values + j + 4));
    value = vmaxq_f32(value, vmaxq_f32(first, second));
    const float32x4_t pairs = vpaddq_f32(first, second);
    sum = vmaxq_f32(sum, vpaddq_f32(pairs, pairs));
  }
  return {vmaxvq_f32(value), vmaxvq_f32(sum)};
}

void to_int16_neon(const float* values, int dim, float scale, std::int16_t* out) {
  for (int j = 0; j < dim; j += 4) {
    const int32x4_t whole = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(values + j), scale));
    vst1_s16(out + j, vqmovn_s32(whole));
  }
}

void sign_table_neon(const float* values, int dim, float scale, float middle, std::uint8_t* out) {
  for (int j = 0; j < dim; j += 4, out += 16) {
    const float a = values[j] * scale, b = values[j + 1] * scale;
    const float c = values[j + 2] * scale, d = values[j + 3] * scale;
    const float lows[4] = {-a - b, a - b, b - a, a + b};
    const float32x4_t low = vld1q_f32(lows);
    const auto cut = [low](float high) {
      const float32x4_t sum = vaddq_f32(low, vdupq_n_f32(high));
      return vqmovn_u32(vcvtq_u32_f32(vmaxq_f32(sum, vdupq_n_f32(0.0f))));
    };
    const uint16x8_t first = vcombine_u16(cut(middle - c - d), cut(middle + c - d));
    const uint16x8_t second = vcombine_u16(cut(middle - c + d), cut(middle + c + d));
    vst1q_u8(out, vcombine_u8(vqmovn_u16(first), vqmovn_u16(second)));
  }
}

int32x4_t add_products(int32x4_t sum, int16x8_t a, int16x8_t b) {
  return vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b);
}

std::int32_t dot_i16i8_neon(const std::int16_t* query, const std::int8_t* vector, int dim) {
  int32x4_t even = vdupq_n_s32(0), odd = even;
  for (int j = 0; j < dim; j += 16) {
    const int8x16_t bytes = vld1q_s8(vector + j);
    even = add_products(even, vld1q_s16(query + j), vmovl_s8(vget_low_s8(bytes)));
    odd = add_products(odd, vld1q_s16(query + j + 8), vmovl_high_s8(bytes));
  }
  return vaddvq_s32(vaddq_s32(even, odd));
}

std::int32_t dot_i8i8_neon(const std::int8_t* a, const std::int8_t* b, int dim) {
  int32x4_t low = vdupq_n_s32(0), high = low;
  for (int j = 0; j < dim; j += 16) {
    const int8x16_t x = vld1q_s8(a + j), y = vld1q_s8(b + j);
    low = vpadalq_s16(low, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
    high = vpadalq_s16(high, vmull_high_s8(x, y));
  }
  return vaddvq_s32(vaddq_s32(low, high));
}

/// Four rows by `kColumns`: sixteen sums of thirty-two registers.
template <int kColumns>
void sum_products(const std::int16_t* rows, const std::int16_t* others, int dim,
                  int32x4_t (&sums)[4][kColumns]) {
  for (auto& row : sums) {
    for (auto& sum : row) sum = vdupq_n_s32(0);
  }
  for (int j = 0; j < dim; j += 8) {
    int16x8_t columns[kColumns];
    for (int c = 0; c < kColumns; ++c) columns[c] = vld1q_s16(others + std::int64_t{c} * dim + j);
    for (int r = 0; r < 4; ++r) {
      const int16x8_t row = vld1q_s16(rows + std::int64_t{r} * dim + j);
      for (int c = 0; c < kColumns; ++c) sums[r][c] = add_products(sums[r][c], row, columns[c]);
    }
  }
}

void dots_4xn_neon(const std::int16_t* rows, const std::int16_t* others, std::int64_t n, int dim,
                   std::int32_t* out, std::int64_t stride) {
  std::int64_t j = 0;
  for (; j + 4 <= n; j += 4) {
    int32x4_t sums[4][4];
    sum_products(rows, others + j * dim, dim, sums);
    for (int r = 0; r < 4; ++r) {
      vst1q_s32(out + r * stride + j,
                vpaddq_s32(vpaddq_s32(sums[r][0], sums[r][1]), vpaddq_s32(sums[r][2], sums[r][3])));
    }
  }
  for (; j < n; ++j) {
    int32x4_t sums[4][1];
    sum_products(rows, others + j * dim, dim, sums);
    for (int r = 0; r < 4; ++r) out[r * stride + j] = vaddvq_s32(sums[r][0]);
  }
}

/// Four of the eight parts.
struct ResidualSums {
  float32x4_t absolute = vdupq_n_f32(0.0f), node_by_sign = vdupq_n_f32(0.0f);

  /// Returns the signs: ones where the residual is negative.
  uint32x4_t add(float32x4_t value, float32x4_t other) {
    const float32x4_t residual = vsubq_f32(other, value);
    const uint32x4_t sign = vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_f32(residual), 31));
    absolute = vaddq_f32(absolute, vabsq_f32(residual));
    node_by_sign = vaddq_f32(node_by_sign, vbslq_f32(sign, vnegq_f32(value), value));
    return sign;
  }
};

void residual_neon(const Int8Vector& node, const Int8Vector& other, int dim, Residual* out) {
  const std::uint16_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint16x8_t weights = vld1q_u16(bits);
  ResidualSums low, high;
  for (int j = 0; j < dim; j += 8) {
    const int16x8_t x = vmovl_s8(vld1_s8(node.values + j));
    const int16x8_t y = vmovl_s8(vld1_s8(other.values + j));
    const auto scaled = [](int32x4_t whole, float scale) {
      return vmulq_n_f32(vcvtq_f32_s32(whole), scale);
    };
    const uint32x4_t first = low.add(scaled(vmovl_s16(vget_low_s16(x)), node.scale),
                                     scaled(vmovl_s16(vget_low_s16(y)), other.scale));
    const uint32x4_t second =
        high.add(scaled(vmovl_high_s16(x), node.scale), scaled(vmovl_high_s16(y), other.scale));
    const uint16x8_t negative = vcombine_u16(vmovn_u32(first), vmovn_u32(second));
    out->signs[j / 8] = static_cast<std::uint8_t>(vaddvq_u16(vbicq_u16(weights, negative)));
  }
  float parts[8];
  vst1q_f32(parts, low.absolute);
  vst1q_f32(parts + 4, high.absolute);
  out->absolute = sum_of_eight(parts);
  vst1q_f32(parts, low.node_by_sign);
  vst1q_f32(parts + 4, high.node_by_sign);
  out->node_by_sign = sum_of_eight(parts);
}

/// Entries are at most 63, so four of them are added as bytes before they are widened.
void sum_signs(const std::uint8_t* codes, const std::uint8_t* entries, int dim,
               std::uint16_t* sums) {
  uint16x8_t wide[4] = {vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0)};
  for (int j = 0; j < dim * 4; j += 64) {
    uint8x16_t low = vdupq_n_u8(0), high = low;
    for (int k = j; k < j + 64; k += 16) {
      const uint8x16_t code = vld1q_u8(codes + k), table = vld1q_u8(entries + k);
      low = vaddq_u8(low, vqtbl1q_u8(table, vandq_u8(code, vdupq_n_u8(15))));
      high = vaddq_u8(high, vqtbl1q_u8(table, vshrq_n_u8(code, 4)));
    }
    wide[0] = vaddw_u8(wide[0], vget_low_u8(low));
    wide[1] = vaddw_high_u8(wide[1], low);
    wide[2] = vaddw_u8(wide[2], vget_low_u8(high));
    wide[3] = vaddw_high_u8(wide[3], high);
  }
  for (int i = 0; i < 4; ++i) vst1q_u16(sums + 8 * i, wide[i]);
}

float32x4_t values_of(const Half* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits)));
}
uint32x2_t four_bytes(const void* p) {
  std::uint32_t bytes;
  std::memcpy(&bytes, p, sizeof bytes);
  return vdup_n_u32(bytes);
}
float32x4_t values_of(const EdgeOffset* p) {
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(four_bytes(p)));
  const float32x4_t roots = vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
  return vmulq_f32(roots, vabsq_f32(roots));
}
float32x4_t values_of(const EdgeSlope* p) {
  const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(four_bytes(p)));
  const float32x4_t roots = vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)));
  return vmulq_f32(roots, roots);
}

template <class Scan>
std::uint32_t score_block_neon(const Scan& scan, const SignTable& table, int dim, float* keys) {
  std::uint16_t sums[kEdgeBlock];
  sum_signs(scan.codes, table.entries, dim, sums);
  const float32x4_t base = vdupq_n_f32(table.base), key = vdupq_n_f32(scan.node_key);
  const std::uint32_t bits[4] = {1, 2, 4, 8};
  const uint32x4_t weights = vld1q_u32(bits);
  std::uint32_t below = 0;
  for (int j = 0; j < kEdgeBlock; j += 4) {
    const float32x4_t sum = vcvtq_f32_u32(vmovl_u16(vld1_u16(sums + j)));
    const float32x4_t product = vaddq_f32(vmulq_n_f32(sum, table.step), base);
    const float32x4_t offset = vmulq_n_f32(values_of(scan.offsets + j), scan.offset_scale);
    const float32x4_t slope = vmulq_n_f32(values_of(scan.slopes + j), scan.slope_scale);
    const float32x4_t result = vaddq_f32(key, vsubq_f32(offset, vmulq_f32(slope, product)));
    vst1q_f32(keys + j, result);
    const uint32x4_t less = vcltq_f32(result, vdupq_n_f32(scan.threshold));
    below |= vaddvq_u32(vandq_u32(weights, less)) << j;
  }
  return below;
}

/// What `sum_of` of `float64.hpp` is, two parts in a vector. `term` takes two pairs of values.
template <class Term>
double sum_by_two(const float* a, const float* b, std::int64_t dim, Term term) {
  float64x2_t sums[4] = {vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0)};
  std::int64_t j = 0;
  for (; j + 8 <= dim; j += 8) {
    for (int i = 0; i < 4; i += 2) {
      const float32x4_t x = vld1q_f32(a + j + 2 * i), y = vld1q_f32(b + j + 2 * i);
      sums[i] =
          vaddq_f64(sums[i], term(vcvt_f64_f32(vget_low_f32(x)), vcvt_f64_f32(vget_low_f32(y))));
      sums[i + 1] = vaddq_f64(sums[i + 1], term(vcvt_high_f64_f32(x), vcvt_high_f64_f32(y)));
    }
  }
  double parts[8];
  for (int i = 0; i < 4; ++i) vst1q_f64(parts + 2 * i, sums[i]);
  for (int part = 0; j < dim; ++j, ++part) {
    parts[part] += vgetq_lane_f64(term(vdupq_n_f64(a[j]), vdupq_n_f64(b[j])), 0);
  }
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) +
         ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}

double squared_distance_neon(const float* a, const float* b, std::int64_t dim) {
  return sum_by_two(a, b, dim, [](float64x2_t x, float64x2_t y) {
    const float64x2_t difference = vsubq_f64(x, y);
    return vmulq_f64(difference, difference);
  });
}

double dot_product_neon(const float* a, const float* b, std::int64_t dim) {
  return sum_by_two(a, b, dim, [](float64x2_t x, float64x2_t y) { return vmulq_f64(x, y); });
}

}  // namespace

extern const GraphKernels graph_kernels_neon;
const GraphKernels graph_kernels_neon = {
    "neon",
    hadamard_neon,
    extremes_neon,
    to_int16_neon,
    sign_table_neon,
    dot_i16i8_neon,
    dot_i8i8_neon,
    dots_one_by_one<dot_i8i8_neon>,
    dots_4xn_neon,
    int16_tiles<dots_4xn_neon>(),
    least_of,
    residual_neon,
    score_block_neon<EdgeScan>,
    score_block_neon<RowScan>,
    least_key_of_lanes,
    squared_distance_neon,
    dot_product_neon,
};

}  // namespace paradox

#endif
