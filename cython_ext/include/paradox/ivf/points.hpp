// Rotated vectors as rows of int16, ready for matrix products.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/graph/graph_kernels.hpp"
#include "paradox/ivf/ivf_kernels.hpp"

namespace paradox {

/// The kernels of one level.
struct IvfLevel {
  const GraphKernels& shared;
  const IvfKernels& own;
};

/// The greatest int16 step of a vector: dot products of two must fit 32 bits.
inline float greatest_ivf_step(int dim) {
  return std::min(4095.0f, std::floor(std::sqrt(2147483000.0f / static_cast<float>(dim))));
}

/// A vector of int16 steps, and the value of one.
struct Centre {
  const std::int16_t* values;
  float step;
};

/// Rows of (dim,) int16, each with the value of one step and its squared norm.
struct Points {
  explicit Points(int dim = 0) : dim(dim) {}

  std::int64_t size() const { return static_cast<std::int64_t>(scales.size()); }
  const std::int16_t* row(std::int64_t i) const { return values.data() + i * dim; }
  std::int16_t* row(std::int64_t i) { return values.data() + i * dim; }

  Centre centre(std::int64_t i) const { return {row(i), scales[static_cast<std::size_t>(i)]}; }

  void resize(std::int64_t n) {
    values.resize(static_cast<std::size_t>(n * dim));
    scales.resize(static_cast<std::size_t>(n));
    squares.resize(static_cast<std::size_t>(n));
  }

  /// Rounds a vector (dim,) into row i.
  void set(const IvfLevel& level, std::int64_t i, const float* vector) {
    const float most = greatest_ivf_step(dim);
    const float greatest = level.shared.extremes(vector, dim).value;
    const bool is_zero = !(greatest > kLeastValue);
    level.shared.to_int16(vector, dim, is_zero ? 0.0f : most / greatest, row(i));
    scales[static_cast<std::size_t>(i)] = is_zero ? 0.0f : greatest / most;
    measure(level, i);
  }

  /// Takes row j of others for row i.
  void copy(std::int64_t i, const Points& others, std::int64_t j) {
    std::copy_n(others.row(j), dim, row(i));
    scales[static_cast<std::size_t>(i)] = others.scales[static_cast<std::size_t>(j)];
    squares[static_cast<std::size_t>(i)] = others.squares[static_cast<std::size_t>(j)];
  }

  void erase(std::int64_t i) {
    values.erase(values.begin() + i * dim, values.begin() + (i + 1) * dim);
    scales.erase(scales.begin() + i);
    squares.erase(squares.begin() + i);
  }

  /// Takes row j of others for a new row i, before the one that is there.
  void insert(std::int64_t i, const Points& others, std::int64_t j) {
    values.insert(values.begin() + i * dim, others.row(j), others.row(j) + dim);
    scales.insert(scales.begin() + i, others.scales[static_cast<std::size_t>(j)]);
    squares.insert(squares.begin() + i, others.squares[static_cast<std::size_t>(j)]);
  }

  void measure(const IvfLevel& level, std::int64_t i) {
    std::int32_t dot;
    level.own.dots_1xn(row(i), row(i), 1, dim, &dot);
    const float scale = scales[static_cast<std::size_t>(i)];
    squares[static_cast<std::size_t>(i)] = scale * scale * static_cast<float>(dot);
  }

  void add_to(const IvfLevel& level, std::int64_t i, double* sums) const {
    level.own.add_scaled(row(i), scales[static_cast<std::size_t>(i)], dim, sums);
  }

  int dim;
  AlignedVector<std::int16_t> values;
  std::vector<float> scales, squares;
};

/// Writes the squared distances of row i to all centres, from their dot products; returns the place
/// of the least, the first of equal ones.
inline std::int64_t measure(const IvfLevel& level, const Points& points, std::int64_t i,
                            const Points& centres, const std::int32_t* dots, float* out) {
  const auto at = static_cast<std::size_t>(i);
  return level.own.distances({points.scales[at], points.squares[at]},
                             {centres.scales.data(), centres.squares.data(), centres.size()}, dots,
                             out);
}

/// Which centre is nearest to a point, and how near.
struct Nearest {
  float distance;
  std::uint32_t centre;
  bool operator<(const Nearest& other) const {
    return distance < other.distance || (distance == other.distance && centre < other.centre);
  }
};

/// Calls visit(at, distances, least) for each of some points: its squared distances to all centres,
/// and which of them is nearest.
template <class Visit>
void for_each_point_of(const IvfLevel& level, const Points& points,
                       const std::vector<std::uint32_t>& some, const Points& centres,
                       const Visit& visit) {
  constexpr std::size_t kRows = 4;
  const std::int64_t n = centres.size();
  thread_local AlignedVector<std::int16_t> rows;
  thread_local std::vector<std::int32_t> dots;
  thread_local std::vector<float> distances;
  at_least(rows, static_cast<std::int64_t>(kRows) * points.dim);
  dots.resize(kRows * static_cast<std::size_t>(n));
  distances.resize(static_cast<std::size_t>(n));
  for (std::size_t begin = 0; begin < some.size(); begin += kRows) {
    const std::size_t end = std::min(begin + kRows, some.size());
    for (std::size_t i = 0; i < kRows; ++i) {
      std::copy_n(points.row(some[std::min(begin + i, end - 1)]), points.dim,
                  rows.data() + static_cast<std::ptrdiff_t>(i) * points.dim);
    }
    level.shared.dots_4xn(rows.data(), centres.row(0), n, points.dim, dots.data(), n);
    for (std::size_t at = begin; at < end; ++at) {
      const std::int32_t* dot = dots.data() + (at - begin) * static_cast<std::size_t>(n);
      const std::int64_t least = measure(level, points, some[at], centres, dot, distances.data());
      visit(at, distances.data(), static_cast<std::size_t>(least));
    }
  }
}

}  // namespace paradox
