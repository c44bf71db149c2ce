// The nodes, in their memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "paradox/graph/chunks.hpp"
#include "paradox/graph/node_layout.hpp"
#include "paradox/prefetch.hpp"

namespace paradox {

/// Nodes numbered from 0.
class NodeStore {
 public:
  explicit NodeStore(const NodeLayout& layout) : layout_(layout), memory_(layout.stride) {}

  std::int64_t size() const { return memory_.size(); }
  /// Bytes of the nodes there are.
  std::int64_t bytes() const { return memory_.bytes(); }

  /// Appends nodes of zero bytes. Throws std::bad_alloc, and then nothing has changed.
  void grow(std::int64_t n) { memory_.grow(n); }

  Node operator[](std::uint32_t i) const { return Node(layout_, memory_[i]); }

  /// Ask for the first part of a node ahead of its use, and for what is left.
  void prefetch(std::uint32_t i) const {
    paradox::prefetch(memory_[i], std::min(kPrefetchedBytes, layout_.stride));
  }
  void prefetch_rest(std::uint32_t i) const {
    paradox::prefetch(memory_[i] + kPrefetchedBytes, layout_.stride - kPrefetchedBytes);
  }
  /// Ask for what an expansion reads of a compact node.
  void prefetch_edges(std::uint32_t i) const {
    paradox::prefetch((*this)[i].data() + layout_.neighbours,
                      std::min(kPrefetchedBytes, layout_.stride - layout_.neighbours));
  }
  /// Ask for what a distance reads of a node.
  void prefetch_vector(std::uint32_t i) const {
    paradox::prefetch(memory_[i], std::min(kPrefetchedBytes, layout_.codes));
  }

 private:
  NodeLayout layout_;
  Chunks memory_;
};

}  // namespace paradox
