// What the native module offers: scans of rows by a table of kernels, and float64 refinement.
//
// Arguments are trusted: equal dimensions of 1 to 65,536, queries float32 or int8, int8 queries
// only with int8 rows, positions in range. Distances are those of `paradox/core/metric.py`; one
// that is not a number is +inf. All may throw std::bad_alloc.
#pragma once

#include <cstdint>

#include "paradox/kernel_table.hpp"
#include "paradox/matrix.hpp"

namespace paradox {

/// Distances of the one query to every row: out (rows.n,).
void distances(const KernelTable& kernels, const Matrix& query, const Matrix& rows, Metric metric,
               float* out);

/// The k nearest rows of each query, nearest first, ties by lower position, padded by -1 and +inf.
/// `allow` is (rows.n,) of 0 or 1, or null; both outputs are (queries.n, k).
void top_k(const KernelTable& kernels, const Matrix& queries, const Matrix& rows, Metric metric,
           std::int64_t k, const std::uint8_t* allow, int threads, std::int64_t* positions,
           float* distances);

/// Distances summed in float64, the same bits on every level: positions and out are (queries.n, m);
/// +inf beside -1.
void refine(const Matrix& queries, const Matrix& rows, const std::int64_t* positions,
            std::int64_t m, Metric metric, double* out);

/// Euclidean norms summed in float64: out (rows.n,).
void row_norms(const Matrix& rows, double* out);

}  // namespace paradox
