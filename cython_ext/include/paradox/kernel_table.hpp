// The seam between the algorithm and the instruction sets: one table of kernels per level.
//
// A level is one source file, `src/kernels_<isa>.cpp`, compiled with the flags of that level. It
// defines how to load, multiply and reduce; the loops are shared (`one_to_many.hpp`, `tile.hpp`,
// `bound_kernels.hpp`).
// A new level is a new file, a row in `kernel_table.cpp`, and its flags in `setup.py`.
#pragma once

#include <cstdint>

#include "paradox/codes.hpp"
#include "paradox/matrix.hpp"

namespace paradox {

/// Rows of a tile are summed in chunks of so many cells, which bounds the rounding error by the
/// chunk and keeps a panel's chunk in the first-level cache (`paradox/kernels/bounds.py`).
constexpr std::int64_t kChunkCells = 256;

/// Widest panel of any level, in queries: a row's hits are one 64-bit word.
constexpr int kMaxPanelQueries = 64;

/// One query to `n` rows: `sums` gets the squared distances or the dot products, `squares` (cosine
/// only) the rows' squared norms.
using OneToMany = void (*)(const void* query, const void* const* rows, std::int64_t n,
                           std::int64_t dim, double* sums, double* squares);

/// A block of rows to a panel of queries. A cell is what one lane multiplies in one step: a float,
/// or two int16 for integers.
template <class Value, class Sum, class Term>
struct Tile {
  const void* const* rows;  // n_rows pointers to n_cells cells each
  std::int64_t n_rows;      // a multiple of tile_rows
  std::int64_t n_cells;
  const Value* panel;  // (n_cells, width): the queries, transposed
  int vectors;         // width = vectors * lanes
  Metric metric;
  const Term* query_terms;  // (width,) l2: squared norms; cosine of integers: inverse norms
  const Term* row_terms;    // (n_rows,) l2: squared norms; cosine: inverse norms
  const float* thresholds;  // (width,) NaN admits every distance
  Sum* sums;                // (n_rows, width) scratch
  float* distances;         // (n_rows, width) out; may be `sums`
  std::uint64_t* hits;      // (n_rows,) out: bit j where distance j is below threshold j
};
using FloatTile = Tile<float, float, float>;
using IntTile = Tile<std::int16_t, std::int32_t, double>;

/// Codes of one query's lane that are multiplied in one step of the tile.
constexpr int kCodeCell = 4;

/// A panel's codes are followed by zeros, to a multiple of so many.
constexpr std::int64_t kPanelStep = 64;

/// Of each query, all but `offset` zero or negative: what bounds its distances (`docs/exact.md`).
struct QueryTerms {
  const float* slope;          // what the dot product of the codes counts
  const float* length;         // of the coded query
  const float* rest;           // norm of what its codes leave out
  const std::int32_t* offset;  // dot product of its codes and those of zero
};

/// One query to rows of codes.
struct CodeScan {
  const void* const* rows;
  std::int64_t n_rows;
  std::int64_t width;
  const std::int8_t* query;  // (width,)
  RowTerms row_terms;
  QueryTerms query_terms;
  float threshold;  // NaN and +inf admit every bound
  float* lowers;    // (n_rows,) out
  std::uint64_t*
      hits;  // out: bit i % 64 of word i / 64, where lower bound i is below the threshold
};

/// A panel of queries to a block of rows of codes.
struct CodeTile {
  const void* const* rows;
  std::int64_t n_rows;       // a multiple of code_rows
  std::int64_t width;        // a multiple of kCodeStep
  const std::int8_t* panel;  // (width / kCodeCell, lanes of queries, kCodeCell), and zeros
  int vectors;
  RowTerms row_terms;
  QueryTerms query_terms;
  const float* thresholds;
  float* lowers;        // (n_rows, lanes of queries) out, of rows with a hit
  std::uint64_t* hits;  // (n_rows,) out, as of `Tile`
};

struct KernelTable {
  const char* isa;
  int lanes;         // 32-bit lanes of a vector
  int tile_vectors;  // vectors of queries in a full panel
  int tile_rows;     // rows multiplied at once
  int code_vectors;  // vectors of queries in a full panel of codes
  int code_rows;     // rows of codes multiplied at once
  int query_limit;   // greatest code of a query that is multiplied exactly

  OneToMany l2[3], dot[3], cosine[3];        // float32 query, rows by DType
  OneToMany l2_i8i8, dot_i8i8, cosine_i8i8;  // int8 query and rows, integer sums
  void (*tile_f32)(const FloatTile&);
  void (*tile_i8i8)(const IntTile&);
  void (*widen_f16)(const Half* row, std::int64_t dim, float* out);
  void (*widen_i8)(const std::int8_t* row, std::int64_t dim, float* out);
  void (*bound_rows)(const CodeScan&);
  void (*bound_tile)(const CodeTile&);
};

/// The table of a level by name, or null where this machine lacks it.
const KernelTable* find_kernels(const char* isa);

/// The levels this machine has, the best at rank 0, null after the last.
const KernelTable* available_kernels(int rank);

}  // namespace paradox
