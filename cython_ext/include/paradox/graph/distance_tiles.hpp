// The distances of many nodes' vectors to many, by matrix products.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/graph/graph.hpp"

namespace paradox {

/// Vectors of one side of a matrix product, laid out for a level's tiles, and, per vector, what
/// makes distances of its dot products.
struct TileSide {
  const Int8Tiles* tiles = nullptr;
  AlignedVector<std::uint8_t> values;
  std::vector<float> scales, squares;
  std::int64_t n = 0;
  int dim = 0;

 protected:
  void reset(const Int8Tiles& level, std::int64_t n_vectors, int n_dims) {
    tiles = &level;
    n = n_vectors;
    dim = n_dims;
    scales.resize(static_cast<std::size_t>(n));
    squares.resize(static_cast<std::size_t>(n));
  }
  void set(std::int64_t i, float scale, float squared_norm) {
    scales[static_cast<std::size_t>(i)] = scale;
    squares[static_cast<std::size_t>(i)] = squared_norm;
  }
};

struct TileRows : TileSide {
  void reset(const Int8Tiles& level, std::int64_t n_rows, int n_dims) {
    TileSide::reset(level, n_rows, n_dims);
    const std::int64_t n_padding = (level.n_rows - n % level.n_rows) % level.n_rows;
    at_least(values, (n + n_padding) * tiles->row_bytes(dim));
    std::fill_n(row(n), n_padding * tiles->row_bytes(dim), std::uint8_t{0});
  }
  void set(std::int64_t i, const Int8Vector& vector, float squared_norm) {
    TileSide::set(i, vector.scale, squared_norm);
    tiles->lay_row(vector.values, dim, row(i));
  }
  std::uint8_t* row(std::int64_t i) { return values.data() + i * tiles->row_bytes(dim); }
  const std::uint8_t* row(std::int64_t i) const {
    return values.data() + i * tiles->row_bytes(dim);
  }
};

struct TileColumns : TileSide {
  void reset(const Int8Tiles& level, std::int64_t n_columns, int n_dims) {
    TileSide::reset(level, n_columns, n_dims);
    const std::int64_t n_panels = (n + level.n_columns - 1) / level.n_columns;
    at_least(values, n_panels * tiles->panel_bytes(dim));
  }
  void set(std::int64_t i, const Int8Vector& vector, float squared_norm) {
    TileSide::set(i, vector.scale, squared_norm);
    const auto column = static_cast<int>(i % tiles->n_columns);
    tiles->lay_column(vector.values, dim, column, values.data() + panel_at(i));
  }
  const std::uint8_t* panel_of(std::int64_t i) const { return values.data() + panel_at(i); }

 private:
  std::int64_t panel_at(std::int64_t i) const {
    return i / tiles->n_columns * tiles->panel_bytes(dim);
  }
};

/// Calls visit(i, distances) for each row: its squared distances to all columns, in order, which it
/// may change.
template <class Visit>
void for_each_row_of_distances(const TileRows& rows, const TileColumns& columns,
                               const Visit& visit) {
  // A strip of rows stays in the second-level cache while panels of columns pass over it, and
  // is whole tiles of every level.
  constexpr std::int64_t kStrip = 64;
  const Int8Tiles& tiles = *rows.tiles;
  thread_local std::vector<std::int32_t> dots;
  thread_local std::vector<float> distances;
  dots.resize(static_cast<std::size_t>(kStrip * columns.n));
  distances.resize(static_cast<std::size_t>(columns.n));
  for (std::int64_t begin = 0; begin < rows.n; begin += kStrip) {
    const std::int64_t end = std::min(begin + kStrip, rows.n);
    for (std::int64_t first = 0; first < columns.n; first += tiles.n_columns) {
      const std::int64_t width = std::min<std::int64_t>(tiles.n_columns, columns.n - first);
      for (std::int64_t i = begin; i < end; i += tiles.n_rows) {
        tiles.dots(rows.row(i), columns.panel_of(first), width, rows.dim,
                   dots.data() + (i - begin) * columns.n + first, columns.n);
      }
    }
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int32_t* dot = dots.data() + (i - begin) * columns.n;
      const float scale = -2.0f * rows.scales[static_cast<std::size_t>(i)];
      const float squares = rows.squares[static_cast<std::size_t>(i)];
      for (std::size_t j = 0; j < distances.size(); ++j) {
        const float partial = scale * columns.scales[j] * static_cast<float>(dot[j]);
        distances[j] = squares + columns.squares[j] + partial;
      }
      visit(i, distances.data());
    }
  }
}

/// Keeps the m nearest to a node of a stream, in order. Distances below 0 are 0 but for rounding.
class Smallest {
 public:
  Smallest(std::uint32_t node, Neighbour* out, int m) : nearer_{node}, out_(out), m_(m) {}

  void offer(float distance, std::uint32_t node) {
    const Neighbour candidate{std::max(distance, 0.0f), node};
    if (size_ == m_ && !nearer_(candidate, out_[m_ - 1])) return;
    int at = size_ < m_ ? size_++ : m_ - 1;
    for (; at > 0 && nearer_(candidate, out_[at - 1]); --at) out_[at] = out_[at - 1];
    out_[at] = candidate;
  }

 private:
  Nearer nearer_;
  Neighbour* out_;
  int m_, size_ = 0;
};

}  // namespace paradox
