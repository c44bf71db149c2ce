// Any machine: the loops as they are meant.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "paradox/graph/lane_sums.hpp"
#include "paradox/ivf/few_distances.hpp"
#include "paradox/ivf/ivf_kernels.hpp"

namespace paradox {
namespace {

void dots_1xn_scalar(const std::int16_t* row, const std::int16_t* others, std::int64_t n, int dim,
                     std::int32_t* out) {
  for (std::int64_t i = 0; i < n; ++i, others += dim) {
    std::int32_t sum = 0;
    for (int j = 0; j < dim; ++j) sum += std::int32_t{row[j]} * std::int32_t{others[j]};
    out[i] = sum;
  }
}

void add_scaled_scalar(const std::int16_t* row, double scale, int dim, double* sums) {
  for (int j = 0; j < dim; ++j) sums[j] += scale * row[j];
}

ResidualSums residual_scalar(const float* vector, const std::int16_t* centre, float scale, int dim,
                             float* out, std::uint8_t* signs) {
  float absolute[8] = {}, squares[8] = {}, by_sign[8] = {};
  ResidualSums sums{};
  for (int j = 0; j < dim; j += 8) {
    std::uint8_t bits = 0;
    for (int part = 0; part < 8; ++part) {
      const float value = scale * static_cast<float>(centre[j + part]);
      const float residual = vector[j + part] - value;
      const bool negative = std::signbit(residual);
      const float magnitude = std::fabs(residual);
      out[j + part] = residual;
      absolute[part] += magnitude;
      squares[part] += residual * residual;
      by_sign[part] += negative ? -value : value;
      sums.greatest = std::max(sums.greatest, magnitude);
      bits = static_cast<std::uint8_t>(bits | (negative ? 0 : 1) << part);
    }
    signs[j / 8] = bits;
  }
  sums.absolute = sum_of_eight(absolute);
  sums.squares = sum_of_eight(squares);
  sums.centre_by_sign = sum_of_eight(by_sign);
  return sums;
}

void to_int8_scalar(const float* values, int dim, float scale, std::int8_t* out) {
  for (int j = 0; j < dim; ++j) {
    out[j] = static_cast<std::int8_t>(std::nearbyint(values[j] * scale));
  }
}

}  // namespace

extern const IvfKernels ivf_kernels_scalar;
const IvfKernels ivf_kernels_scalar = {
    "scalar", dots_1xn_scalar, few_distances, add_scaled_scalar, residual_scalar, to_int8_scalar,
};

}  // namespace paradox
