// Any machine: the loops as they are meant.
#include <cmath>
#include <cstdint>

#include "paradox/graph/graph_kernels.hpp"
#include "paradox/graph/portable_loops.hpp"
#include "paradox/half.hpp"

namespace paradox {
namespace {

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

std::uint32_t score_edges_scalar(const EdgeScan& scan, const SignTable& table, int dim,
                                 float* keys) {
  std::uint32_t below = 0;
  for (int edge = 0; edge < kEdgeBlock; ++edge) {
    std::int32_t sum = 0;
    for (int group = 0; group < dim / 4; ++group) {
      const int byte = scan.codes[group * 16 + edge % 16];
      sum += table.entries[group * 16 + (edge < 16 ? byte & 15 : byte >> 4)];
    }
    const float product = static_cast<float>(sum) * table.step + table.base;
    const float factor = to_float(scan.offsets[edge]) - to_float(scan.slopes[edge]) * product;
    keys[edge] = scan.node_key + scan.factor_scale * factor;
    below |= static_cast<std::uint32_t>(keys[edge] < scan.threshold) << edge;
  }
  return below;
}

}  // namespace

extern const GraphKernels graph_kernels_scalar;
const GraphKernels graph_kernels_scalar = {
    "scalar",        hadamard,        dot_i16i8_scalar,   dot_i8i8_scalar,
    dots_4xn_scalar, residual_scalar, score_edges_scalar,
};

}  // namespace paradox
