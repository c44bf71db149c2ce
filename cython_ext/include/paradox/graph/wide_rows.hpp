// Some nodes' vectors side by side as int16, ready for matrix products.
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/graph/graph.hpp"

namespace paradox {

/// Rows of a matrix product and, per row, what makes distances of its dot products.
struct WideRows {
  AlignedVector<std::int16_t> values;  // (n rounded up to 4, dim): the last row again as padding
  std::vector<float> scales, squares;
  std::int64_t n = 0;
  int dim = 0;

  void reset(std::int64_t n_rows, int n_dims) {
    n = n_rows;
    dim = n_dims;
    at_least(values, (n + 3) / 4 * 4 * dim);
    scales.resize(static_cast<std::size_t>(n));
    squares.resize(static_cast<std::size_t>(n));
  }
  void set(std::int64_t i, const Int8Vector& vector, float squared_norm) {
    std::int16_t* row = values.data() + i * dim;
    for (int j = 0; j < dim; ++j) row[j] = vector.values[j];
    scales[static_cast<std::size_t>(i)] = vector.scale;
    squares[static_cast<std::size_t>(i)] = squared_norm;
  }
  void pad() {
    for (std::int64_t i = n; i % 4 != 0; ++i) {
      for (int j = 0; j < dim; ++j) values[i * dim + j] = values[(n - 1) * dim + j];
    }
  }
  const std::int16_t* row(std::int64_t i) const { return values.data() + i * dim; }
};

/// Calls visit(i, distances) for each row: its squared distances to all `others`, in order, which
/// it may change.
template <class Visit>
void for_each_row_of_distances(const GraphKernels& kernels, const WideRows& rows,
                               const WideRows& others, const Visit& visit) {
  // A strip of rows stays in the second-level cache while blocks of the others pass over it.
  constexpr std::int64_t kStrip = 64, kBlock = 48;
  thread_local std::vector<std::int32_t> dots;
  thread_local std::vector<float> distances;
  dots.resize(static_cast<std::size_t>(kStrip * others.n));
  distances.resize(static_cast<std::size_t>(others.n));
  for (std::int64_t begin = 0; begin < rows.n; begin += kStrip) {
    const std::int64_t end = begin + kStrip < rows.n ? begin + kStrip : rows.n;
    for (std::int64_t first = 0; first < others.n; first += kBlock) {
      const std::int64_t width = first + kBlock < others.n ? kBlock : others.n - first;
      for (std::int64_t i = begin; i < end; i += 4) {
        kernels.dots_4xn(rows.row(i), others.row(first), width, rows.dim,
                         dots.data() + (i - begin) * others.n + first, others.n);
      }
    }
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int32_t* dot = dots.data() + (i - begin) * others.n;
      const float scale = -2.0f * rows.scales[static_cast<std::size_t>(i)];
      const float squares = rows.squares[static_cast<std::size_t>(i)];
      for (std::size_t j = 0; j < distances.size(); ++j) {
        const float partial = scale * others.scales[j] * static_cast<float>(dot[j]);
        distances[j] = squares + others.squares[j] + partial;
      }
      visit(i, distances.data());
    }
  }
}

/// Keeps the m nearest to a node of a stream, in order.
class Smallest {
 public:
  Smallest(std::uint32_t node, Neighbour* out, int m) : nearer_{node}, out_(out), m_(m) {}

  void offer(float distance, std::uint32_t node) {
    const Neighbour candidate{distance, node};
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
