// Any machine: the loops as they are meant.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "paradox/float64.hpp"
#include "paradox/graph/graph_kernels.hpp"
#include "paradox/graph/int16_tiles.hpp"
#include "paradox/graph/lane_sums.hpp"
#include "paradox/graph/least_distances.hpp"
#include "paradox/graph/least_key.hpp"
#include "paradox/half.hpp"

namespace paradox {
namespace {

/// Adds and subtracts pairs at growing distances.
void hadamard_scalar(float* values, std::int64_t n) {
  for (std::int64_t half = 1; half < n; half *= 2) {
    for (std::int64_t begin = 0; begin < n; begin += 2 * half) {
      for (std::int64_t j = begin; j < begin + half; ++j) {
        const float a = values[j], b = values[j + half];
        values[j] = a + b;
        values[j + half] = a - b;
      }
    }
  }
}

Extremes extremes_scalar(const float* values, int dim) {
  Extremes result{0.0f, 0.0f};
  for (int j = 0; j < dim; j += 4) {
    float absolute[4];
    for (int i = 0; i < 4; ++i) {
      absolute[i] = std::fabs(values[j + i]);
      result.value = std::max(result.value, absolute[i]);
    }
    const float sum = (absolute[0] + absolute[1]) + (absolute[2] + absolute[3]);
    result.sum_of_four = std::max(result.sum_of_four, sum);
  }
  return result;
}

void to_int16_scalar(const float* values, int dim, float scale, std::int16_t* out) {
  for (int j = 0; j < dim; ++j) {
    out[j] = static_cast<std::int16_t>(std::nearbyint(values[j] * scale));
  }
}

void sign_table_scalar(const float* values, int dim, float scale, float middle, std::uint8_t* out) {
  for (int j = 0; j < dim; j += 4, out += 16) {
    const float a = values[j] * scale, b = values[j + 1] * scale;
    const float c = values[j + 2] * scale, d = values[j + 3] * scale;
    const float low[4] = {-a - b, a - b, b - a, a + b};
    const float high[4] = {middle - c - d, middle + c - d, middle - c + d, middle + c + d};
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<std::uint8_t>(std::max(low[i % 4] + high[i / 4], 0.0f));
    }
  }
}

template <class A, class B>
std::int32_t dot(const A* a, const B* b, int dim) {
  std::int32_t sum = 0;
  for (int j = 0; j < dim; ++j) sum += std::int32_t{a[j]} * std::int32_t{b[j]};
  return sum;
}

std::int32_t dot_i16i8_scalar(const std::int16_t* query, const std::int8_t* vector, int dim) {
  return dot(query, vector, dim);
}

std::int32_t dot_i8i8_scalar(const std::int8_t* a, const std::int8_t* b, int dim) {
  return dot(a, b, dim);
}

void dots_4xn_scalar(const std::int16_t* rows, const std::int16_t* others, std::int64_t n, int dim,
                     std::int32_t* out, std::int64_t stride) {
  for (std::int64_t i = 0; i < 4; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      out[i * stride + j] = dot(rows + i * dim, others + j * dim, dim);
    }
  }
}

void residual_scalar(const Int8Vector& node, const Int8Vector& other, int dim, Residual* out) {
  float absolute[8] = {}, node_by_sign[8] = {};
  for (int j = 0; j < dim; j += 8) {
    std::uint8_t bits = 0;
    for (int part = 0; part < 8; ++part) {
      const float value = node.scale * static_cast<float>(node.values[j + part]);
      const float residual = other.scale * static_cast<float>(other.values[j + part]) - value;
      const bool negative = std::signbit(residual);
      absolute[part] += negative ? -residual : residual;
      node_by_sign[part] += negative ? -value : value;
      bits = static_cast<std::uint8_t>(bits | (negative ? 0 : 1) << part);
    }
    out->signs[j / 8] = bits;
  }
  out->absolute = sum_of_eight(absolute);
  out->node_by_sign = sum_of_eight(node_by_sign);
}

float value_of(Half factor) { return to_float(factor); }
float value_of(EdgeOffset factor) {
  const auto root = static_cast<float>(factor.root);
  return root * std::fabs(root);
}
float value_of(EdgeSlope factor) {
  const auto root = static_cast<float>(factor.root);
  return root * root;
}

template <class Scan>
std::uint32_t score_block_scalar(const Scan& scan, const SignTable& table, int dim, float* keys) {
  std::uint32_t below = 0;
  for (int edge = 0; edge < kEdgeBlock; ++edge) {
    std::int32_t sum = 0;
    for (int group = 0; group < dim / 4; ++group) {
      const int byte = scan.codes[group * 16 + edge % 16];
      sum += table.entries[group * 16 + (edge < 16 ? byte & 15 : byte >> 4)];
    }
    const float product = static_cast<float>(sum) * table.step + table.base;
    const float offset = scan.offset_scale * value_of(scan.offsets[edge]);
    const float slope = scan.slope_scale * value_of(scan.slopes[edge]);
    keys[edge] = scan.node_key + (offset - slope * product);
    below |= static_cast<std::uint32_t>(keys[edge] < scan.threshold) << edge;
  }
  return below;
}

double squared_distance_scalar(const float* a, const float* b, std::int64_t dim) {
  return sum_of(dim, [=](std::int64_t j) {
    const double difference = wide(a + j) - wide(b + j);
    return difference * difference;
  });
}

double dot_product_scalar(const float* a, const float* b, std::int64_t dim) {
  return sum_of(dim, [=](std::int64_t j) { return wide(a + j) * wide(b + j); });
}

}  // namespace

extern const GraphKernels graph_kernels_scalar;
const GraphKernels graph_kernels_scalar = {
    "scalar",
    hadamard_scalar,
    extremes_scalar,
    to_int16_scalar,
    sign_table_scalar,
    dot_i16i8_scalar,
    dot_i8i8_scalar,
    dots_one_by_one<dot_i8i8_scalar>,
    dots_4xn_scalar,
    int16_tiles<dots_4xn_scalar>(),
    least_of,
    residual_scalar,
    score_block_scalar<EdgeScan>,
    score_block_scalar<RowScan>,
    least_key_of_lanes,
    squared_distance_scalar,
    dot_product_scalar,
};

}  // namespace paradox
