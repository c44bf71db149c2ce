// A sketch of all nodes: of each the signs of its rotated vector and two factors, as an edge from
// the origin would have them, in blocks of 32. A sweep estimates the keys of all nodes from it, in
// one sequential read, and reads only those nodes that may be near.
#pragma once

#include <cstdint>

#include "paradox/aligned.hpp"
#include "paradox/graph/node_layout.hpp"

namespace paradox {

/// The sketch of 32 nodes, in its memory: codes | offsets | slopes | the scale of both.
class SketchBlock {
 public:
  SketchBlock(int dim, std::uint8_t* data) : dim_(dim), data_(data) {}

  static std::int64_t bytes(int dim) {
    return std::int64_t{kEdgeBlock} * (dim / 8 + 2 * sizeof(Half)) + 64;
  }

  std::uint8_t* codes() const { return data_; }
  Half* offsets() const { return reinterpret_cast<Half*>(data_ + kEdgeBlock * (dim_ / 8)); }
  Half* slopes() const { return offsets() + kEdgeBlock; }
  float& factor_scale() const { return *reinterpret_cast<float*>(slopes() + kEdgeBlock); }

 private:
  int dim_;
  std::uint8_t* data_;
};

class Sketch {
 public:
  explicit Sketch(int dim) : dim_(dim), block_bytes_(SketchBlock::bytes(dim)) {}

  std::int64_t n_blocks() const { return n_blocks_; }
  std::int64_t block_bytes() const { return block_bytes_; }
  std::int64_t bytes() const { return n_blocks_ * block_bytes_; }

  /// Makes room for n nodes. Throws std::bad_alloc, and then nothing has changed.
  void grow(std::int64_t n) {
    n_blocks_ = (n + kEdgeBlock - 1) / kEdgeBlock;
    memory_.resize(static_cast<std::size_t>(n_blocks_ * block_bytes_));
  }

  SketchBlock operator[](std::int64_t i) const {
    return {dim_, const_cast<std::uint8_t*>(memory_.data()) + i * block_bytes_};
  }

 private:
  int dim_;
  std::int64_t block_bytes_, n_blocks_ = 0;
  AlignedVector<std::uint8_t> memory_;
};

}  // namespace paradox
