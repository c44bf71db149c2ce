// Queries made ready once per call: unit length under cosine, transposed into panels for the tile.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/kernel_table.hpp"
#include "paradox/matrix.hpp"

namespace paradox {

/// 1 / norm, and 0 for a zero vector, which makes its cosine 0 and its distance 1.
inline double inverse_norm(double squares) {
  return squares == 0.0 ? 0.0 : 1.0 / std::sqrt(squares);
}

/// float32 queries to rows of any dtype. Cosine queries are scaled to unit length in float64, so
/// that no norm over- or underflows.
struct FloatArithmetic {
  using Query = float;
  using Value = float;
  using Sum = float;
  using Term = float;
  static constexpr int kCellValues = 1;

  static OneToMany one_to_many(const KernelTable& kernels, Metric metric, DType rows) {
    const int dtype = static_cast<int>(rows);
    if (metric == Metric::l2) return kernels.l2[dtype];
    return metric == Metric::ip ? kernels.dot[dtype] : kernels.cosine[dtype];
  }
  static void tile(const KernelTable& kernels, const FloatTile& job) { kernels.tile_f32(job); }
  static float prepare(float value, double inverse, Metric metric) {
    return metric == Metric::cosine ? static_cast<float>(value * inverse) : value;
  }
  static double term(double squares, Metric metric) { return metric == Metric::l2 ? squares : 1.0; }
};

/// int8 queries to int8 rows: exact integer sums, norms applied in float64.
struct IntArithmetic {
  using Query = std::int8_t;
  using Value = std::int16_t;
  using Sum = std::int32_t;
  using Term = double;
  static constexpr int kCellValues = 2;

  static OneToMany one_to_many(const KernelTable& kernels, Metric metric, DType) {
    if (metric == Metric::l2) return kernels.l2_i8i8;
    return metric == Metric::ip ? kernels.dot_i8i8 : kernels.cosine_i8i8;
  }
  static void tile(const KernelTable& kernels, const IntTile& job) { kernels.tile_i8i8(job); }
  static std::int8_t prepare(std::int8_t value, double, Metric) { return value; }
  static double term(double squares, Metric metric) {
    return metric == Metric::cosine ? inverse_norm(squares) : squares;
  }
};

template <class Arithmetic>
class QueryBatch {
 public:
  using Query = typename Arithmetic::Query;
  using Value = typename Arithmetic::Value;
  using Term = typename Arithmetic::Term;

  struct Panel {
    std::int64_t first_query;
    int n_queries;
    int vectors;
    int width;  // vectors * lanes: n_queries and padding
    AlignedVector<Value> cells;
    AlignedVector<Term> terms;
  };

  QueryBatch(const Matrix& queries, Metric metric)
      : n_(queries.n), dim_(queries.dim), values_(queries.n * queries.dim), terms_(queries.n) {
    for (std::int64_t i = 0; i < n_; ++i) {
      const auto* query = static_cast<const Query*>(queries.row(i));
      double squares = 0.0;
      for (std::int64_t j = 0; j < dim_; ++j) {
        const double value = read(query + j);
        squares += value * value;
      }
      const double inverse = inverse_norm(squares);
      for (std::int64_t j = 0; j < dim_; ++j) {
        values_[i * dim_ + j] = Arithmetic::prepare(read(query + j), inverse, metric);
      }
      terms_[i] = Arithmetic::term(squares, metric);
    }
  }

  std::int64_t n() const { return n_; }
  const Query* query(std::int64_t i) const { return values_.data() + i * dim_; }
  double term(std::int64_t i) const { return terms_[i]; }

  /// Cells of one row or query: its values, padded by zero to whole cells.
  std::int64_t n_cells() const {
    return (dim_ + Arithmetic::kCellValues - 1) / Arithmetic::kCellValues;
  }

  std::vector<Panel> panels(const KernelTable& kernels) const {
    std::vector<Panel> panels;
    for (std::int64_t first = 0; first < n_;) {
      Panel panel;
      const std::int64_t left = (n_ - first + kernels.lanes - 1) / kernels.lanes;
      panel.vectors = static_cast<int>(std::min<std::int64_t>(left, kernels.tile_vectors));
      panel.width = panel.vectors * kernels.lanes;
      panel.first_query = first;
      panel.n_queries = static_cast<int>(std::min<std::int64_t>(panel.width, n_ - first));
      fill(panel);
      first += panel.n_queries;
      panels.push_back(std::move(panel));
    }
    return panels;
  }

 private:
  void fill(Panel& panel) const {
    constexpr int kCellValues = Arithmetic::kCellValues;
    panel.cells.resize(n_cells() * panel.width * kCellValues);
    panel.terms.resize(panel.width);
    for (int i = 0; i < panel.n_queries; ++i) {
      const Query* values = query(panel.first_query + i);
      for (std::int64_t j = 0; j < dim_; ++j) {
        const std::int64_t cell = j / kCellValues;
        panel.cells[(cell * panel.width + i) * kCellValues + j % kCellValues] = values[j];
      }
      panel.terms[i] = static_cast<Term>(term(panel.first_query + i));
    }
  }

  std::int64_t n_, dim_;
  std::vector<Query> values_;
  std::vector<double> terms_;
};

}  // namespace paradox
