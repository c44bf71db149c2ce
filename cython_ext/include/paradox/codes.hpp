// Rows as 8-bit codes, and what bounds their distances: derived in `docs/exact.md`.
//
// A row x (scaled to unit length under cosine) is kept as scale * (code - 128), a byte a dimension,
// and a query likewise by integers of its own. With their dot product and four numbers of the row
// and three of the query, every distance has a lower and an upper bound.
#pragma once

#include <cstdint>

#include "paradox/matrix.hpp"

namespace paradox {

/// The code of zero.
constexpr int kCodeZero = 128;

/// Rows of codes are padded to a multiple of so many, by anything: queries are padded by zeros.
constexpr std::int64_t kCodeStep = 16;

/// One rounding of float32.
constexpr double kUnit = 0x1p-24;

/// Between these, no product of two norms, or of their parts, over- or underflows float32.
constexpr double kLeastNorm = 0x1p-60, kGreatestNorm = 0x1p60;

/// Of each row; `residual` and `norm` are rounded up, and the slack for float32 is in `residual`.
struct RowTerms {
  const float* scale;     // what a code counts
  const float* residual;  // norm of what the codes leave out
  const float* norm;
  const float* square;  // l2: squared norm, rounded down; else 0

  RowTerms from(std::int64_t row) const {
    return {scale + row, residual + row, norm + row, square + row};
  }
};

/// Codes in someone else's memory. int8 rows are codes themselves, with zero at zero.
struct Codes {
  const void* values = nullptr;
  std::int64_t n = 0;
  std::int64_t width = 0;  // codes of a row: its dimension, padded unless signed
  std::int64_t stride_bytes = 0;
  bool is_signed = false;
  RowTerms terms{};

  const void* row(std::int64_t i) const {
    return static_cast<const char*>(values) + i * stride_bytes;
  }
};

/// The codes and terms of rows: codes (n, width), not written for int8 rows; terms (4, n), in the
/// order of `RowTerms`, `terms_stride` floats between them.
void encode(const Matrix& rows, Metric metric, std::uint8_t* codes, std::int64_t width,
            float* terms, std::int64_t terms_stride);

}  // namespace paradox
