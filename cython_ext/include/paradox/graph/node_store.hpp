// The nodes, in their memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "paradox/graph/chunks.hpp"
#include "paradox/graph/node_layout.hpp"
#include "paradox/prefetch.hpp"

namespace paradox {

/// Where the steps end in which a node is asked for, in bytes. More lines at once than a core can
/// wait for hold up what comes after: measured with nodes of 35, by single searches.
constexpr std::int64_t kPrefetchSteps[] = {0, 8 * 64, 12 * 64, 22 * 64,
                                           std::numeric_limits<std::int64_t>::max()};

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

  /// Ask for a node ahead of its use: at once, or a step at a time while another is scored.
  void prefetch(std::uint32_t i) const { paradox::prefetch(memory_[i], layout_.stride); }
  void prefetch(std::uint32_t i, int step) const {
    const std::int64_t begin = std::min(kPrefetchSteps[step], layout_.stride);
    const std::int64_t end = std::min(kPrefetchSteps[step + 1], layout_.stride);
    paradox::prefetch(memory_[i] + begin, end - begin);
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
