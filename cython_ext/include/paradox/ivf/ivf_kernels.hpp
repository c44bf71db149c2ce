// The inner loops of inverted lists that the graph has not got, one table per level.
//
// Every level gives the same bits, as in `graph_kernels.hpp`: integers are exact, floats are
// multiplied and added in one order. Dimensions are multiples of kDimStep.
#pragma once

#include <cstdint>

namespace paradox {

/// Of a residual: sums over its dimensions, in eight interleaved parts, and the greatest.
struct ResidualSums {
  float absolute;        // of absolute values
  float squares;         // of squared values
  float centre_by_sign;  // of the centre's values, each by the residual's sign
  float greatest;        // absolute value
};

/// What turns products of an int16 row into distances: the value of one step, its squared norm.
struct PointNorm {
  float scale, square;
};

/// The same of n rows, 1 or more.
struct PointNorms {
  const float *scales, *squares;
  std::int64_t n;
};

struct IvfKernels {
  const char* isa;

  /// Dot products of one row with n, whose sums fit 32 bits.
  void (*dots_1xn)(const std::int16_t* row, const std::int16_t* others, std::int64_t n, int dim,
                   std::int32_t* out);

  /// Writes the squared distances of a row to others from their dot products, none below 0.
  /// Returns the place of the least, the first of equal ones; none may be NaN.
  std::int64_t (*distances)(const PointNorm& row, const PointNorms& others,
                            const std::int32_t* dots, float* out);

  /// Adds `scale` times a row to sums.
  void (*add_scaled)(const std::int16_t* row, double scale, int dim, double* sums);

  /// Writes a vector less `scale` times a centre, and its signs: bits from the first dimension on,
  /// set where it is not negative.
  ResidualSums (*residual)(const float* vector, const std::int16_t* centre, float scale, int dim,
                           float* out, std::uint8_t* signs);

  /// Multiplies and rounds to the nearest, ties to even; results must fit.
  void (*to_int8)(const float* values, int dim, float scale, std::int8_t* out);
};

/// The table of a level by name, or null where this machine lacks it.
const IvfKernels* find_ivf_kernels(const char* isa);

}  // namespace paradox
