// The codes of edges as a scan of 32 wants them, and their factors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "paradox/graph/node_layout.hpp"
#include "paradox/half.hpp"

namespace paradox {

/// Puts the signs of an edge where a scan wants them.
inline void spread(const std::uint8_t* signs, int dim, int edge, std::uint8_t* codes) {
  const int shift = edge < 16 ? 0 : 4;
  const int keep = 0xf0 >> shift;
  std::uint8_t* code = codes + edge % 16;
  for (int j = 0; j < dim / 8; ++j, code += 32) {
    code[0] = static_cast<std::uint8_t>((code[0] & keep) | (signs[j] & 15) << shift);
    code[16] = static_cast<std::uint8_t>((code[16] & keep) | (signs[j] >> 4) << shift);
  }
}

/// Puts the signs of 32 edges where a scan wants them: signs[32 * j + edge] is byte j of an edge's.
inline void spread_all(const std::uint8_t* signs, int dim, std::uint8_t* codes) {
  for (int j = 0; j < dim / 8; ++j, signs += 32, codes += 32) {
    for (int i = 0; i < 16; ++i) {
      codes[i] = static_cast<std::uint8_t>((signs[i] & 15) | signs[16 + i] << 4);
      codes[16 + i] = static_cast<std::uint8_t>(signs[i] >> 4 | (signs[16 + i] & 0xf0));
    }
  }
}

/// Writes values, scaled so that the greatest is that of float16: one far above the others leaves
/// them their bits. Returns the scale.
inline float write_scaled(const std::vector<float>& values, Half* out) {
  float greatest = 0.0f;
  for (const float value : values) greatest = std::max(greatest, std::fabs(value));
  if (!(greatest > kMostHalf / std::numeric_limits<float>::max())) greatest = 0.0f;
  const float inverse = greatest > 0.0f ? kMostHalf / greatest : 0.0f;
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = to_half(values[i] * inverse);
  return greatest / kMostHalf;
}

/// What the roots of a node's edge factors are worth.
struct FactorScales {
  float offset, slope;  // the value of a root of 1

  /// For offsets up to a value, regardless of their sign, and slopes up to another.
  static FactorScales up_to(float offset, float slope) {
    return {offset / (kMostOffset * kMostOffset), slope / (kMostSlope * kMostSlope)};
  }
  bool reach(float an_offset, float a_slope) const {
    return std::fabs(an_offset) <= offset * kMostOffset * kMostOffset &&
           a_slope <= slope * kMostSlope * kMostSlope;
  }
  /// Whether other scales would halve the steps, or more: a node's first edges may have been far
  /// longer than those it has.
  bool are_too_great(const EdgeOffset* offsets, const EdgeSlope* slopes, int n) const {
    int most_offset = 0, most_slope = 0;
    for (int i = 0; i < n; ++i) {
      most_offset = std::max(most_offset, std::abs(int{offsets[i].root}));
      most_slope = std::max(most_slope, int{slopes[i].root});
    }
    return (offset > 0.0f && 2 * most_offset < kMostOffset) ||
           (slope > 0.0f && 2 * most_slope < kMostSlope);
  }
  EdgeOffset kept_offset(float value) const {
    const float root = root_of(std::fabs(value), offset, kMostOffset);
    return {static_cast<std::int8_t>(value < 0.0f ? -root : root)};
  }
  EdgeSlope kept_slope(float value) const {
    return {static_cast<std::uint8_t>(root_of(value, slope, kMostSlope))};
  }

 private:
  static constexpr float kMostOffset = 127.0f, kMostSlope = 255.0f;

  static float root_of(float value, float scale, float most) {
    constexpr float kRounding = 0x1.8p23f;  // has no bits for a fraction: to even, without a call
    const float root = scale > 0.0f ? std::sqrt(value / scale) : 0.0f;
    return std::min((root + kRounding) - kRounding, most);
  }
};

}  // namespace paradox
