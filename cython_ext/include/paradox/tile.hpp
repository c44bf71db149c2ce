// Many queries to many rows, for any level: a panel of transposed queries in the lanes, row values
// broadcast from where they lie, so that rows are never packed and float32 rows never copied.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <cstdint>

#include "paradox/kernel_table.hpp"

namespace paradox {
namespace {

template <class Simd>
struct FloatCells {
  using Value = float;
  using Vector = typename Simd::Float;
  static constexpr int kValues = 1;
  static Vector zero() { return Simd::zero(); }
  static Vector load(const float* cells) { return Simd::load(cells); }
  static Vector broadcast(const float* cell) { return Simd::broadcast(read(cell)); }
  static Vector multiply_add(Vector a, Vector b, Vector sum) { return Simd::fma(a, b, sum); }
  static Vector add(Vector a, const float* sums) { return Simd::add(a, Simd::load(sums)); }
};

template <class Simd>
struct IntCells {
  using Value = std::int16_t;
  using Vector = typename Simd::Int;
  static constexpr int kValues = 2;
  static Vector zero() { return Simd::zero_int(); }
  static Vector load(const std::int16_t* cells) { return Simd::load_pairs(cells); }
  static Vector broadcast(const std::int16_t* cell) { return Simd::broadcast_pair(cell); }
  static Vector multiply_add(Vector a, Vector b, Vector sum) { return Simd::dot_i16(a, b, sum); }
  static Vector add(Vector a, const std::int32_t* sums) {
    return Simd::add_i32(a, Simd::load_i32(sums));
  }
};

/// sums (n_rows, width) = rows * panel, chunk by chunk along the dimension. The register tile is
/// `kVectors` vectors of queries by `Simd::kTileRows` rows.
template <class Simd, class Cells, int kVectors, class Job>
inline void multiply(const Job& job) {
  constexpr int kRows = Simd::kTileRows;
  constexpr int kWidth = kVectors * Simd::kLanes;
  constexpr int kValues = Cells::kValues;
  using Vector = typename Cells::Vector;
  for (std::int64_t begin = 0; begin < job.n_cells; begin += kChunkCells) {
    const std::int64_t left = job.n_cells - begin;
    const std::int64_t length = left < kChunkCells ? left : kChunkCells;
    for (std::int64_t i = 0; i < job.n_rows; i += kRows) {
      Vector sum[kRows][kVectors];
      for (auto& row : sum) {
        for (auto& vector : row) vector = Cells::zero();
      }
      const typename Cells::Value* rows[kRows];
      for (int r = 0; r < kRows; ++r) {
        rows[r] = static_cast<const typename Cells::Value*>(job.rows[i + r]);
      }
      const auto* cells = job.panel + begin * kWidth * kValues;
      const std::int64_t end = (begin + length) * kValues;
      for (std::int64_t j = begin * kValues; j < end; j += kValues) {
        Vector queries[kVectors];
        for (int v = 0; v < kVectors; ++v) {
          queries[v] = Cells::load(cells + v * Simd::kLanes * kValues);
        }
        for (int r = 0; r < kRows; ++r) {
          const Vector value = Cells::broadcast(rows[r] + j);
          for (int v = 0; v < kVectors; ++v) {
            sum[r][v] = Cells::multiply_add(value, queries[v], sum[r][v]);
          }
        }
        cells += kWidth * kValues;
      }
      auto* out = job.sums + i * kWidth;
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kVectors; ++v, out += Simd::kLanes) {
          if (begin > 0) sum[r][v] = Cells::add(sum[r][v], out);
          Simd::store(out, sum[r][v]);
        }
      }
    }
  }
}

/// Distances of one row from its dot products; integers go through float64, which holds them
/// exactly.
template <class Simd>
inline void measure(const FloatTile& job, std::int64_t i, int width) {
  const float* dots = job.sums + i * width;
  float* distances = job.distances + i * width;
  for (int j = 0; j < width; j += Simd::kLanes) {
    const auto dot = Simd::load(dots + j);
    auto distance = Simd::sub(Simd::zero(), dot);
    if (job.metric == Metric::l2) {
      const auto partial =
          Simd::fma(Simd::broadcast(-2.0f), dot, Simd::broadcast(job.row_terms[i]));
      distance = Simd::add(partial, Simd::load(job.query_terms + j));
    } else if (job.metric == Metric::cosine) {
      const auto cosine = Simd::mul(dot, Simd::broadcast(job.row_terms[i]));
      distance = Simd::sub(Simd::broadcast(1.0f), cosine);
    }
    Simd::store(distances + j, distance);
  }
}

template <class Simd>
inline void measure(const IntTile& job, std::int64_t i, int width) {
  const std::int32_t* dots = job.sums + i * width;
  float* distances = job.distances + i * width;
  if (job.metric == Metric::ip) {
    for (int j = 0; j < width; ++j) distances[j] = static_cast<float>(-dots[j]);
    return;
  }
  const double row = job.row_terms[i];
  for (int j = 0; j < width; ++j) {
    const double dot = dots[j], query = job.query_terms[j];
    const double distance =
        job.metric == Metric::l2 ? query + row - 2.0 * dot : 1.0 - dot * (query * row);
    distances[j] = static_cast<float>(distance);
  }
}

template <class Simd, class Job>
inline void score(const Job& job) {
  const int width = job.vectors * Simd::kLanes;
  const auto infinity = Simd::broadcast(__builtin_inff());
  for (std::int64_t i = 0; i < job.n_rows; ++i) {
    measure<Simd>(job, i, width);
    float* distances = job.distances + i * width;
    std::uint64_t hits = 0;
    for (int j = 0; j < width; j += Simd::kLanes) {
      auto distance = Simd::min_number(Simd::load(distances + j), infinity);  // NaN sorts last
      if (job.metric != Metric::ip) distance = Simd::max(distance, Simd::zero());
      Simd::store(distances + j, distance);
      hits |= static_cast<std::uint64_t>(
                  Simd::not_greater_equal(distance, Simd::load(job.thresholds + j)))
              << j;
    }
    job.hits[i] = hits;
  }
}

template <class Simd, class Cells, int kVectors, class Job>
inline void tile_of(const Job& job) {
  if constexpr (kVectors > 1) {
    if (job.vectors < kVectors) return tile_of<Simd, Cells, kVectors - 1>(job);
  }
  multiply<Simd, Cells, kVectors>(job);
  score<Simd>(job);
}

template <class Simd, class Cells, class Job>
inline void tile(const Job& job) {
  tile_of<Simd, Cells, Simd::kTileVectors>(job);
}

}  // namespace
}  // namespace paradox
