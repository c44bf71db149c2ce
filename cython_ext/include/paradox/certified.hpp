// Exact search by codes: bounds rule rows out, float64 decides among the rest.
//
// Arguments are trusted: float32 queries, and codes that `encode` made of the rows for the metric.
// All may throw std::bad_alloc.
#pragma once

#include <cstdint>

#include "paradox/codes.hpp"
#include "paradox/kernel_table.hpp"
#include "paradox/matrix.hpp"

namespace paradox {

/// What to search.
struct CodedRows {
  const Matrix* rows;
  const Codes* codes;
  const std::int64_t* ids;    // of each row, by which equal distances are ordered
  const std::uint8_t* allow;  // (rows.n,) of 0 or 1, or null
};

/// The k nearest allowed rows of each query by float64 distance, then id, padded by -1 and +inf:
/// positions and distances (queries.n, k). Where the bounds rule out too little, the query is left
/// alone: certified (queries.n,) is then 0, else 1.
void certified_top_k(const KernelTable& kernels, const Matrix& queries, const CodedRows& rows,
                     Metric metric, std::int64_t k, int threads, std::int64_t* positions,
                     double* distances, std::uint8_t* certified);

/// Lower bounds of the distances of each query to every row: out (queries.n, codes.n), -inf where
/// there is none. From four queries on by the tile, with coarser codes.
void lower_bounds(const KernelTable& kernels, const Matrix& queries, const Codes& codes,
                  Metric metric, double* out);

}  // namespace paradox
