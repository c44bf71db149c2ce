#include <algorithm>
#include <cmath>
#include <limits>

#include "paradox/codes.hpp"
#include "paradox/float64.hpp"
#include "paradox/round.hpp"

namespace paradox {
namespace {

constexpr int kGreatestCode = 127;

struct Terms {
  float scale, residual, norm, square;
};

/// Norm of a row, and its greatest value.
template <class Row>
std::pair<double, double> size_of(const Row* row, std::int64_t dim) {
  double greatest[8] = {};
  const double squares = sum_of(dim, [&](std::int64_t j) {
    const double value = wide(row + j);
    greatest[j % 8] = std::max(greatest[j % 8], std::fabs(value));
    return value * value;
  });
  return {std::sqrt(squares), *std::max_element(greatest, greatest + 8)};
}

/// Terms that bound nothing, so that the row is always looked at.
constexpr Terms kUnbounded{0.0f, std::numeric_limits<float>::infinity(), 0.0f, 0.0f};

/// Terms of a row too short to be coded: it is its own residual.
constexpr Terms kTiny{0.0f, static_cast<float>(kLeastNorm), static_cast<float>(kLeastNorm), 0.0f};

Terms finished(float scale, double residual, double norm, Metric metric) {
  const double slack = 16 * kUnit * (norm + residual);
  const float square = metric == Metric::l2 ? round_down(norm * norm * (1 - 8 * kUnit)) : 0.0f;
  return {scale, round_up(residual * kAbout + slack), round_up(norm * kAbout), square};
}

template <class Row>
Terms encode_row(const Row* row, std::int64_t dim, Metric metric, std::uint8_t* codes) {
  const auto [norm, greatest] = size_of(row, dim);
  const bool is_cosine = metric == Metric::cosine;
  if (codes != nullptr) std::fill_n(codes, dim, static_cast<std::uint8_t>(kCodeZero));
  if (!std::isfinite(norm) || (!is_cosine && norm > kGreatestNorm)) return kUnbounded;
  if (is_cosine && norm == 0.0) return {0.0f, 0.0f, 0.0f, 0.0f};
  if (!is_cosine && norm < kLeastNorm) return kTiny;
  const double unit = is_cosine ? 1.0 / norm : 1.0;
  double squares = 0.0;
  float scale;
  if (codes == nullptr) {
    scale = static_cast<float>(unit);
    squares = (unit - scale) * (unit - scale) * norm * norm;
  } else {
    scale = static_cast<float>(greatest * unit / kGreatestCode);
    const double per_scale = unit / scale;
    squares = sum_of(dim, [&](std::int64_t j) {
      const double value = wide(row + j);
      const double code = rounded(std::clamp(value * per_scale, -127.0, 127.0));
      const double rest = value * unit - scale * code;
      codes[j] = static_cast<std::uint8_t>(static_cast<int>(code) + kCodeZero);
      return rest * rest;
    });
  }
  return finished(scale, std::sqrt(squares), is_cosine ? 1.0 : norm, metric);
}

template <class Row>
void encode_as(const Matrix& rows, Metric metric, std::uint8_t* codes, std::int64_t width,
               float* terms, std::int64_t terms_stride) {
  for (std::int64_t i = 0; i < rows.n; ++i) {
    std::uint8_t* row_codes = codes == nullptr ? nullptr : codes + i * width;
    const auto* row = static_cast<const Row*>(rows.row(i));
    const Terms found = encode_row(row, rows.dim, metric, row_codes);
    if (codes != nullptr) {
      std::fill(row_codes + rows.dim, row_codes + width, static_cast<std::uint8_t>(kCodeZero));
    }
    terms[i] = found.scale;
    terms[terms_stride + i] = found.residual;
    terms[2 * terms_stride + i] = found.norm;
    terms[3 * terms_stride + i] = found.square;
  }
}

}  // namespace

void encode(const Matrix& rows, Metric metric, std::uint8_t* codes, std::int64_t width,
            float* terms, std::int64_t terms_stride) {
  switch (rows.dtype) {
    case DType::f32:
      return encode_as<float>(rows, metric, codes, width, terms, terms_stride);
    case DType::f16:
      return encode_as<Half>(rows, metric, codes, width, terms, terms_stride);
    case DType::i8:
      return encode_as<std::int8_t>(rows, metric, nullptr, width, terms, terms_stride);
  }
}

}  // namespace paradox
