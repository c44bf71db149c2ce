// The codes of edges as a scan of 32 wants them, and their factors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

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

/// Writes offsets and slopes, scaled so that the greatest is 1, and returns the scale.
inline float write_scaled(const std::vector<float>& offsets, const std::vector<float>& slopes,
                          Half* offset_out, Half* slope_out) {
  float greatest = 0.0f;
  for (const float offset : offsets) greatest = std::max(greatest, std::fabs(offset));
  for (const float slope : slopes) greatest = std::max(greatest, std::fabs(slope));
  const float inverse = greatest > 0.0f ? 1.0f / greatest : 0.0f;
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    offset_out[i] = to_half(std::clamp(offsets[i] * inverse, -1.0f, 1.0f));
    slope_out[i] = to_half(std::clamp(slopes[i] * inverse, -1.0f, 1.0f));
  }
  return greatest;
}

}  // namespace paradox
