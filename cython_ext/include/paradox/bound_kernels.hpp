// Lower bounds of distances from codes, for any level: one query to many rows, bound by memory; or
// a panel of queries in the lanes to rows broadcast from where they lie, as in `tile.hpp`.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "paradox/kernel_table.hpp"
#include "paradox/one_to_many.hpp"
#include "paradox/prefetch.hpp"

namespace paradox {
namespace {

/// Codes are asked for so many bytes before they are read: what a core reads ahead by itself ends
/// with each page. A sixth of a scan for one query; 1, 2 and 16 KiB bring less.
constexpr std::int64_t kAheadBytes = 4096;

/// A row of codes times a query, a step of some vectors at a time.
template <class Simd>
class CodeDot {
 public:
  using Int = typename Simd::Int;
  static constexpr int kCells = Simd::kByteCells;
  static constexpr int kVectorBytes = Simd::kLanes * kCodeCell;
  static constexpr int kStep = kCells * kVectorBytes;

  CodeDot(const std::int8_t* query, std::int64_t width)
      : query_(query), whole_(width / kStep * kStep), width_(width) {
    // The last step may begin before the others end: what they had is multiplied by zero.
    const std::int64_t rest = width - whole_;
    std::int8_t* begin = whole_ > 0 ? last_ + kStep - rest : last_;
    std::memcpy(begin, query + whole_, static_cast<std::size_t>(rest));
  }

  Int operator()(const std::uint8_t* codes) const {
    Int first = Simd::zero_int(), second = first;
    std::int64_t j = 0;
    for (; j + 2 * kStep <= whole_; j += 2 * kStep) {
      first = step(codes + j, query_ + j, first);
      second = step(codes + j + kStep, query_ + j + kStep, second);
    }
    if (j < whole_) first = step(codes + j, query_ + j, first);
    if (whole_ < width_) second = rest(codes, second);
    return Simd::add_i32(first, second);
  }

 private:
  static Int step(const std::uint8_t* codes, const std::int8_t* query, Int sum) {
    Int x[kCells], q[kCells];
    for (int c = 0; c < kCells; ++c) {
      x[c] = Simd::load_cells(codes + c * kVectorBytes);
      q[c] = Simd::load_cells(query + c * kVectorBytes);
    }
    return Simd::dot_bytes(x, q, sum);
  }

  Int rest(const std::uint8_t* codes, Int sum) const {
    if (whole_ > 0) return step(codes + width_ - kStep, last_, sum);
    std::uint8_t padded[kStep] = {};
    std::memcpy(padded, codes, static_cast<std::size_t>(width_));
    return step(padded, last_, sum);
  }

  const std::int8_t* query_;
  const std::int64_t whole_, width_;
  alignas(64) std::int8_t last_[kStep] = {};
};

/// What a bound is made of, for the lanes of a vector.
template <class Simd>
struct LaneTerms {
  typename Simd::Float scale, residual, norm, square;  // of the rows
  typename Simd::Float slope, length, rest;            // of the queries

  typename Simd::Float lower_bound(typename Simd::Int dots) const {
    auto lower = Simd::fma(slope, Simd::mul(Simd::to_float(dots), scale), square);
    lower = Simd::fma(length, residual, lower);
    return Simd::fma(rest, norm, lower);
  }
};

/// The next values of an array: a whole vector, or the last of them and zeros.
template <class Simd, class Value>
inline auto load_some(const Value* values, std::int64_t left) {
  if (left >= Simd::kLanes) return Simd::load(values);
  Value padded[Simd::kLanes] = {};
  std::memcpy(padded, values, static_cast<std::size_t>(left) * sizeof(Value));
  return Simd::load(padded);
}

template <class Simd>
inline void bound_rows(const CodeScan& job) {
  constexpr int kLanes = Simd::kLanes;
  const CodeDot<Simd> dot(job.query, job.width);
  const auto offset = Simd::broadcast_i32(*job.query_terms.offset);
  const auto threshold = Simd::broadcast(job.threshold);
  LaneTerms<Simd> terms;
  terms.slope = Simd::broadcast(*job.query_terms.slope);
  terms.length = Simd::broadcast(*job.query_terms.length);
  terms.rest = Simd::broadcast(*job.query_terms.rest);
  const std::int64_t ahead = std::max<std::int64_t>(kAheadBytes / job.width, 1);
  for (std::int64_t i = 0; i < job.n_rows; i += kLanes) {
    const std::int64_t left = job.n_rows - i;
    typename Simd::Int sums[kLanes];
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const std::int64_t row = lane < left ? i + lane : i;
      if (row + ahead < job.n_rows) prefetch(job.rows[row + ahead], job.width);
      sums[lane] = dot(static_cast<const std::uint8_t*>(job.rows[row]));
    }
    terms.scale = load_some<Simd>(job.row_terms.scale + i, left);
    terms.residual = load_some<Simd>(job.row_terms.residual + i, left);
    terms.norm = load_some<Simd>(job.row_terms.norm + i, left);
    terms.square = load_some<Simd>(job.row_terms.square + i, left);
    const auto lower = terms.lower_bound(Simd::sub_i32(Simd::totals(sums), offset));
    float lowers[kLanes];
    Simd::store(lowers, lower);
    const std::int64_t n = left < kLanes ? left : kLanes;
    std::memcpy(job.lowers + i, lowers, static_cast<std::size_t>(n) * sizeof(float));
    if (i % 64 == 0) job.hits[i / 64] = 0;
    std::uint64_t hits = Simd::not_greater_equal(lower, threshold);
    if (n < kLanes) hits &= (std::uint64_t{1} << n) - 1;
    job.hits[i / 64] |= hits << (i % 64);
  }
}

/// What bounds are made of and compared with, of the queries in some vectors of a panel.
template <class Simd, int kVectors>
struct PanelLanes {
  LaneTerms<Simd> terms[kVectors];  // of the queries; those of a row are not set
  typename Simd::Int offsets[kVectors];
  typename Simd::Float thresholds[kVectors];
  const int first;  // vector of the panel

  PanelLanes(const CodeTile& job, int first_vector) : first(first_vector) {
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t at = (first + v) * Simd::kLanes;
      terms[v].slope = Simd::load(job.query_terms.slope + at);
      terms[v].length = Simd::load(job.query_terms.length + at);
      terms[v].rest = Simd::load(job.query_terms.rest + at);
      offsets[v] = Simd::load_i32(job.query_terms.offset + at);
      thresholds[v] = Simd::load(job.thresholds + at);
    }
  }
};

/// Returns which of these queries a row may be near enough to, and writes their bounds if any:
/// `dots` (kVectors, lanes) are its products with them.
template <class Simd, int kVectors>
inline std::uint64_t bound_row(const CodeTile& job, const PanelLanes<Simd, kVectors>& queries,
                               std::int64_t row, const std::int32_t* dots) {
  constexpr int kLanes = Simd::kLanes;
  const auto scale = Simd::broadcast(job.row_terms.scale[row]);
  const auto residual = Simd::broadcast(job.row_terms.residual[row]);
  const auto norm = Simd::broadcast(job.row_terms.norm[row]);
  const auto square = Simd::broadcast(job.row_terms.square[row]);
  std::uint64_t hits = 0;
  typename Simd::Float lowers[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    LaneTerms<Simd> terms = queries.terms[v];
    terms.scale = scale;
    terms.residual = residual;
    terms.norm = norm;
    terms.square = square;
    const auto own = Simd::sub_i32(Simd::load_i32(dots + v * kLanes), queries.offsets[v]);
    lowers[v] = terms.lower_bound(own);
    const std::uint64_t mine = Simd::not_greater_equal(lowers[v], queries.thresholds[v]);
    hits |= mine << (queries.first + v) * kLanes;
  }
  if (hits == 0) return 0;
  float* out = job.lowers + (row * job.vectors + queries.first) * kLanes;
  for (int v = 0; v < kVectors; ++v) Simd::store(out + v * kLanes, lowers[v]);
  return hits;
}

/// The register tile is `kVectors` vectors of queries by `Simd::kCodeRows` rows, over the whole
/// width at once: integers need no chunks, and are scored before they leave the registers.
template <class Simd, int kVectors>
inline void bound_tile_of(const CodeTile& job) {
  if constexpr (kVectors > 1) {
    if (job.vectors < kVectors) return bound_tile_of<Simd, kVectors - 1>(job);
  }
  constexpr int kLanes = Simd::kLanes;
  constexpr int kRows = Simd::kCodeRows;
  constexpr int kCells = Simd::kByteCells;
  constexpr std::int64_t kCellBytes = kVectors * kLanes * kCodeCell;
  for (std::int64_t i = 0; i < job.n_rows; i += kRows) {
    typename Simd::Int sums[kRows][kVectors];
    for (auto& row : sums) {
      for (auto& sum : row) sum = Simd::zero_int();
    }
    const std::uint8_t* rows[kRows];
    for (int r = 0; r < kRows; ++r) rows[r] = static_cast<const std::uint8_t*>(job.rows[i + r]);
    const std::int8_t* cells = job.panel;
    for (std::int64_t j = 0; j < job.width; j += kCells * kCodeCell) {
      for (int r = 0; r < kRows; ++r) {
        typename Simd::Int codes[kCells];
        for (int c = 0; c < kCells; ++c) {
          codes[c] = Simd::broadcast_cell(rows[r] + j + c * kCodeCell);
        }
        for (int v = 0; v < kVectors; ++v) {
          typename Simd::Int theirs[kCells];
          for (int c = 0; c < kCells; ++c) {
            theirs[c] = Simd::load_cells(cells + c * kCellBytes + v * kLanes * kCodeCell);
          }
          sums[r][v] = Simd::dot_bytes(codes, theirs, sums[r][v]);
        }
      }
      cells += kCells * kCellBytes;
    }
    // A copy, or GCC keeps what a loop that is not unrolled reads in memory all along.
    std::int32_t dots[kRows][kVectors][kLanes];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) Simd::store(dots[r][v], sums[r][v]);
    }
    const PanelLanes<Simd, kVectors> queries(job, 0);  // here: the products need all registers
    for (int r = 0; r < kRows; ++r) job.hits[i + r] = bound_row(job, queries, i + r, dots[r][0]);
  }
}

template <class Simd>
inline void bound_tile(const CodeTile& job) {
  bound_tile_of<Simd, Simd::kCodeVectors>(job);
}

}  // namespace
}  // namespace paradox
