// The lists' kernels of AVX2 that those of AVX-512 use too: they are no faster there with sixteen
// lanes, since sums of eight parts wait for one another, or since there are few rows.
#pragma once

#include "paradox/ivf/ivf_kernels.hpp"

namespace paradox {

std::int64_t distances_avx2(const PointNorm& row, const PointNorms& others,
                            const std::int32_t* dots, float* out);

ResidualSums residual_avx2(const float* vector, const std::int16_t* centre, float scale, int dim,
                           float* out, std::uint8_t* signs);

void to_int8_avx2(const float* values, int dim, float scale, std::int8_t* out);

}  // namespace paradox
