// The inner loops of the graph, one table per level, as `kernel_table.hpp` is for the scans.
//
// Every level gives the same bits: integers are exact, and floats are multiplied and added in one
// order, never fused. Dimensions are multiples of kDimStep.
#pragma once

#include <cstdint>

#include "paradox/graph/node_layout.hpp"
#include "paradox/matrix.hpp"

namespace paradox {

/// A vector of no greater values is taken for 0: what it would be multiplied by leaves float32.
constexpr float kLeastValue = 1e-30f;

/// Sums of four signed query values, for each pattern of four signs, as bytes.
struct SignTable {
  const std::uint8_t* entries;  // (dim / 4, 16)
  float step;                   // value of one
  float base;                   // value of an all-zero sum
};

/// The keys of a block of 32: node_key + (offset - slope * sum of signed query values), where
/// offset and slope are what is kept of them times their scale.
template <class Offset, class Slope>
struct BlockScan {
  const std::uint8_t* codes;
  const Offset* offsets;
  const Slope* slopes;
  float offset_scale, slope_scale;
  float node_key;
  float threshold;
};
using EdgeScan = BlockScan<EdgeOffset, EdgeSlope>;
using RowScan = BlockScan<Half, Half>;

/// The greatest absolute value, and the greatest sum of four absolute values side by side.
struct Extremes {
  float value, sum_of_four;
};

/// A vector as a node keeps it.
struct Int8Vector {
  const std::int8_t* values;
  float scale;
};

/// Of a residual, the other vector less the node's: its signs, as bits from the first dimension
/// on, and two sums.
struct Residual {
  std::uint8_t* signs;  // (dim / 8,) a bit is set where the residual is positive
  float absolute;       // of absolute values
  float node_by_sign;   // of the node's values, each by the residual's sign
};

/// Products of many int8 vectors with many, a tile of `n_rows` by up to `n_columns` at a time. How
/// rows lie in memory, and columns in panels of `n_columns`, is the level's own; the first of each
/// is where an AlignedVector begins.
struct Int8Tiles {
  int n_rows, n_columns;
  int value_bytes;  // that a value takes up
  int sum_bytes;    // that a column takes up besides

  void (*lay_row)(const std::int8_t* vector, int dim, std::uint8_t* row);
  void (*lay_column)(const std::int8_t* vector, int dim, int column, std::uint8_t* panel);

  /// Dot products of `n_rows` rows with the first n columns of a panel: out[i * stride + j].
  void (*dots)(const std::uint8_t* rows, const std::uint8_t* panel, std::int64_t n, int dim,
               std::int32_t* out, std::int64_t stride);

  std::int64_t row_bytes(int dim) const { return std::int64_t{value_bytes} * dim; }
  std::int64_t panel_bytes(int dim) const { return n_columns * (row_bytes(dim) + sum_bytes); }
};

/// The least of some keys.
struct LeastKey {
  float key;
  float bound;       // of kKeyLanes keys, which are at most that; +inf where they are fewer
  std::uint32_t at;  // the first of equal keys
};
constexpr std::uint32_t kKeyLanes = 16;

struct GraphKernels {
  const char* isa;

  /// In place, without scaling; n is a power of two.
  void (*hadamard)(float* values, std::int64_t n);

  Extremes (*extremes)(const float* values, int dim);

  /// Multiplies and rounds to the nearest, ties to even.
  void (*to_int16)(const float* values, int dim, float scale, std::int16_t* out);

  /// Writes the (dim / 4, 16) sums of four values, each by the sign its bit of the pattern gives
  /// (set: positive), times scale, plus middle, cut to a whole number of 0 or more.
  void (*sign_table)(const float* values, int dim, float scale, float middle, std::uint8_t* out);

  std::int32_t (*dot_i16i8)(const std::int16_t* query, const std::int8_t* vector, int dim);
  std::int32_t (*dot_i8i8)(const std::int8_t* a, const std::int8_t* b, int dim);

  /// Dot products of one vector with n others.
  void (*dots_1xn)(const std::int8_t* one, const std::int8_t* const* others, int n, int dim,
                   std::int32_t* out);

  /// Dot products of four rows with n: out[i * stride + j].
  void (*dots_4xn)(const std::int16_t* rows, const std::int16_t* others, std::int64_t n, int dim,
                   std::int32_t* out, std::int64_t stride);
  Int8Tiles tiles;

  /// Writes where the m least of n distances are, m at most 32, and where others are that are not
  /// above a bound of them, in order; there is room for n. Distances below 0 are as 0, and NaN is
  /// none. Returns how many there are.
  std::int64_t (*least)(const float* distances, std::int64_t n, int m, std::uint32_t* positions);

  /// Sums are of eight interleaved parts.
  void (*residual)(const Int8Vector& node, const Int8Vector& other, int dim, Residual* out);

  /// Write 32 keys; bit j of the result tells whether key j is below the threshold.
  std::uint32_t (*score_edges)(const EdgeScan& scan, const SignTable& table, int dim, float* keys);
  std::uint32_t (*score_rows)(const RowScan& scan, const SignTable& table, int dim, float* keys);

  /// Of n keys, and those up to a multiple of kKeyLanes.
  LeastKey (*least_key)(const float* keys, std::uint32_t n);

  /// In float64, as `refine` sums: the same bits.
  double (*squared_distance)(const float* a, const float* b, std::int64_t dim);
  double (*dot_product)(const float* a, const float* b, std::int64_t dim);
};

/// `dots_1xn` where several products at once are no faster than one after the other.
template <std::int32_t (*dot)(const std::int8_t* a, const std::int8_t* b, int dim)>
void dots_one_by_one(const std::int8_t* one, const std::int8_t* const* others, int n, int dim,
                     std::int32_t* out) {
  for (int i = 0; i < n; ++i) out[i] = dot(one, others[i], dim);
}

/// The table of a level by name, or null where this machine lacks it.
const GraphKernels* find_graph_kernels(const char* isa);

}  // namespace paradox
