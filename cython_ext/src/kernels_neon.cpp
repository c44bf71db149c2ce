// NEON, which every arm64 machine has: four lanes, thirty-two registers, a tile of 4 vectors by 6
// rows.
#if defined(__aarch64__)

#include <arm_neon.h>

#include <cstdint>

#include "paradox/define_kernels.hpp"

namespace {

struct Neon {
  static constexpr int kLanes = 4;
  static constexpr int kTileVectors = 4;
  static constexpr int kTileRows = 6;
  static constexpr int kCodeVectors = 4;
  static constexpr int kCodeRows = 4;
  static constexpr int kByteCells = 1;
  static constexpr int kQueryLimit = 127;
  using Float = float32x4_t;
  using Int = int32x4_t;  // or eight int16

  static Float zero() { return vdupq_n_f32(0.0f); }
  static Float broadcast(float value) { return vdupq_n_f32(value); }
  static Float load(const float* p) { return vld1q_f32(p); }
  static Float load(const paradox::Half* p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits)));
  }
  static Float load(const std::int8_t* p) {
    std::int32_t four;
    std::memcpy(&four, p, sizeof four);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
  }
  static void store(float* p, Float a) { vst1q_f32(p, a); }
  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float sub(Float a, Float b) { return vsubq_f32(a, b); }
  static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
  static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
  static Float max(Float a, Float b) { return vmaxq_f32(a, b); }
  static Float min_number(Float a, Float b) { return vminnmq_f32(a, b); }  // b where a is NaN
  static float sum(Float a) { return vaddvq_f32(a); }
  static unsigned not_greater_equal(Float a, Float b) {
    const std::uint32_t bits[kLanes] = {1, 2, 4, 8};
    return vaddvq_u32(vbicq_u32(vld1q_u32(bits), vcgeq_f32(a, b)));
  }

  static Int broadcast_i32(std::int32_t value) { return vdupq_n_s32(value); }
  static Int zero_int() { return vdupq_n_s32(0); }
  static Int load_wide(const std::int8_t* p) { return vreinterpretq_s32_s16(vmovl_s8(vld1_s8(p))); }
  static Int load_pairs(const std::int16_t* p) { return vreinterpretq_s32_s16(vld1q_s16(p)); }
  static Int load_i32(const std::int32_t* p) { return vld1q_s32(p); }
  static Int broadcast_pair(const std::int16_t* p) {
    std::int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return vdupq_n_s32(pair);
  }
  static void store(std::int32_t* p, Int a) { vst1q_s32(p, a); }
  static Int sub_i16(Int a, Int b) {
    return vreinterpretq_s32_s16(vsubq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
  }
  static Float to_float(Int a) { return vcvtq_f32_s32(a); }
  static Int sub_i32(Int a, Int b) { return vsubq_s32(a, b); }
  static Int add_i32(Int a, Int b) { return vaddq_s32(a, b); }
  static Int dot_i16(Int a, Int b, Int sum) { return vaddq_s32(sum, pair_sums(a, b)); }
  static Int totals(const Int (&rows)[kLanes]) {
    return vpaddq_s32(vpaddq_s32(rows[0], rows[1]), vpaddq_s32(rows[2], rows[3]));
  }

  static Int broadcast_cell(const std::uint8_t* p) {
    std::int32_t cell;
    std::memcpy(&cell, p, sizeof cell);
    return vdupq_n_s32(cell);
  }
  static Int load_cells(const std::int8_t* p) { return vreinterpretq_s32_s8(vld1q_s8(p)); }
  static Int load_cells(const std::uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
  static Int dot_bytes(const Int (&codes)[1], const Int (&queries)[1], Int sum) {
    const uint8x16_t x = vreinterpretq_u8_s32(codes[0]);
    const int8x16_t q = vreinterpretq_s8_s32(queries[0]);
    const Int low = vreinterpretq_s32_u16(vmovl_u8(vget_low_u8(x)));
    const Int high = vreinterpretq_s32_u16(vmovl_u8(vget_high_u8(x)));
    const Int first = pair_sums(low, vreinterpretq_s32_s16(vmovl_s8(vget_low_s8(q))));
    const Int last = pair_sums(high, vreinterpretq_s32_s16(vmovl_s8(vget_high_s8(q))));
    return vaddq_s32(sum, vpaddq_s32(first, last));
  }
  static std::int64_t sum(Int a) { return vaddlvq_s32(a); }

 private:
  /// Sums of the products of pairs of int16.
  static Int pair_sums(Int a, Int b) {
    const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
  }
};

}  // namespace

PARADOX_DEFINE_KERNELS(neon, Neon)

#endif
