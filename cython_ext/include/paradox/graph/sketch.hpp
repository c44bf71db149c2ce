// A sketch of all nodes: of each the signs of its rotated vector and two factors, as an edge from
// the origin would have them, in blocks of 32. A sweep estimates the keys of all nodes from it, in
// one sequential read, and reads only those nodes that may be near.
#pragma once

#include <cstdint>

#include "paradox/graph/chunks.hpp"
#include "paradox/graph/node_layout.hpp"

namespace paradox {

/// The sketch of 32 nodes, in its memory: codes | offsets | slopes | a scale of each.
class SketchBlock {
 public:
  SketchBlock(int dim, std::uint8_t* data) : dim_(dim), data_(data) {}

  static std::int64_t bytes(int dim) {
    return std::int64_t{kEdgeBlock} * (dim / 8 + 2 * sizeof(Half)) + 64;
  }

  std::uint8_t* codes() const { return data_; }
  Half* offsets() const { return reinterpret_cast<Half*>(data_ + kEdgeBlock * (dim_ / 8)); }
  Half* slopes() const { return offsets() + kEdgeBlock; }
  float& offset_scale() const { return *reinterpret_cast<float*>(slopes() + kEdgeBlock); }
  float& slope_scale() const { return *(&offset_scale() + 1); }

 private:
  int dim_;
  std::uint8_t* data_;
};

class Sketch {
 public:
  explicit Sketch(int dim) : dim_(dim), memory_(SketchBlock::bytes(dim)) {}

  static std::int64_t n_blocks(std::int64_t n_nodes) {
    return (n_nodes + kEdgeBlock - 1) / kEdgeBlock;
  }
  std::int64_t block_bytes() const { return memory_.record_bytes(); }
  std::int64_t bytes() const { return memory_.bytes(); }

  /// Makes room for n nodes. Throws std::bad_alloc, and then nothing has changed.
  void grow(std::int64_t n) { memory_.grow(n_blocks(n) - memory_.size()); }

  SketchBlock operator[](std::int64_t i) const {
    return {dim_, memory_[static_cast<std::uint32_t>(i)]};
  }

 private:
  int dim_;
  Chunks memory_;
};

}  // namespace paradox
