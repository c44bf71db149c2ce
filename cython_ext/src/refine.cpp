#include <algorithm>
#include <cmath>
#include <limits>

#include "paradox/float64.hpp"
#include "paradox/scan.hpp"

namespace paradox {
namespace {

template <class Row>
double norm(const Row* row, std::int64_t dim) {
  return std::sqrt(sum_of(dim, [=](std::int64_t j) { return wide(row + j) * wide(row + j); }));
}

template <class Query, class Row>
double distance(const Query* query, double query_norm, const Row* row, std::int64_t dim,
                Metric metric) {
  if (metric == Metric::l2) {
    return sum_of(dim, [=](std::int64_t j) {
      const double difference = wide(query + j) - wide(row + j);
      return difference * difference;
    });
  }
  const double dot = sum_of(dim, [=](std::int64_t j) { return wide(query + j) * wide(row + j); });
  if (metric == Metric::ip) return -dot;
  const double norms = query_norm * norm(row, dim);
  return norms == 0.0 ? 1.0 : std::max(1.0 - dot / norms, 0.0);
}

template <class Query, class Row>
void refine_as(const Matrix& queries, const Matrix& rows, const std::int64_t* positions,
               std::int64_t m, Metric metric, double* out) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < queries.n; ++i) {
    const auto* query = static_cast<const Query*>(queries.row(i));
    const double query_norm = metric == Metric::cosine ? norm(query, queries.dim) : 0.0;
    for (std::int64_t end = (i + 1) * m, at = i * m; at < end; ++at) {
      double result = infinity;
      if (positions[at] >= 0) {
        const auto* row = static_cast<const Row*>(rows.row(positions[at]));
        result = distance(query, query_norm, row, rows.dim, metric);
      }
      out[at] = std::isnan(result) ? infinity : result;
    }
  }
}

template <class Row>
void norms_as(const Matrix& rows, double* out) {
  for (std::int64_t i = 0; i < rows.n; ++i) {
    out[i] = norm(static_cast<const Row*>(rows.row(i)), rows.dim);
  }
}

}  // namespace

void refine(const Matrix& queries, const Matrix& rows, const std::int64_t* positions,
            std::int64_t m, Metric metric, double* out) {
  if (queries.dtype == DType::i8) {
    return refine_as<std::int8_t, std::int8_t>(queries, rows, positions, m, metric, out);
  }
  switch (rows.dtype) {
    case DType::f32:
      return refine_as<float, float>(queries, rows, positions, m, metric, out);
    case DType::f16:
      return refine_as<float, Half>(queries, rows, positions, m, metric, out);
    case DType::i8:
      return refine_as<float, std::int8_t>(queries, rows, positions, m, metric, out);
  }
}

void row_norms(const Matrix& rows, double* out) {
  switch (rows.dtype) {
    case DType::f32:
      return norms_as<float>(rows, out);
    case DType::f16:
      return norms_as<Half>(rows, out);
    case DType::i8:
      return norms_as<std::int8_t>(rows, out);
  }
}

}  // namespace paradox
