// A random rotation, fast: it spreads every vector evenly over the dimensions, so that signs and
// int8 steps say as much in one dimension as in another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "paradox/graph/graph_kernels.hpp"

namespace paradox {

/// The dimensions of vectors of one length: inner product lengthens them in one of its own.
constexpr int lengthened_dim(int dim, Metric metric) {
  return dim + (metric == Metric::ip ? 1 : 0);
}

/// The dimensions that vectors are rotated into: few into up to four times as many, as an estimate
/// from signs errs by the inverse root of their number. Compact nodes keep none of an edge.
constexpr int rotated_dim(int dim, bool is_compact = false) {
  constexpr int kFewestSigns = 128;
  const int wide = is_compact ? dim : std::max(dim, std::min(kFewestSigns, 4 * dim));
  return (wide + kDimStep - 1) / kDimStep * kDimStep;
}

/// Random signs and Hadamard transforms, in turn over the first and the last 2^m dimensions (the
/// greatest 2^m that fits), as RaBitQ's authors do for dimensions that are no power of two.
class Rotation {
 public:
  Rotation(int dim, int padded_dim, std::uint64_t seed);

  /// Rotates (dim,) values into (padded_dim,); lengths and angles stay.
  void apply(const GraphKernels& kernels, const float* in, float* out) const;
  /// Rotates (padded_dim,) values back, in place.
  void invert(const GraphKernels& kernels, float* values) const;

 private:
  static constexpr int kRounds = 4;

  /// Where the dimensions begin that are transformed.
  int begin_of(int round) const { return round % 2 == 0 ? 0 : padded_dim_ - span_; }

  int dim_, padded_dim_, span_;
  float scale_;               // of a transform, so that lengths stay
  std::vector<float> signs_;  // (kRounds, padded_dim), scaled where a transform follows
};

}  // namespace paradox
