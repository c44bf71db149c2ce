// The memory of the nodes: it grows without moving what is there.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "paradox/graph/node_layout.hpp"
#include "paradox/prefetch.hpp"

namespace paradox {

/// Nodes numbered from 0, in chunks of equal size that ask for huge pages: a search reads whole
/// nodes at random, and with 4 KiB pages would miss the TLB at each.
class NodeStore {
 public:
  explicit NodeStore(const NodeLayout& layout);

  std::int64_t size() const { return size_; }
  /// Bytes of the nodes there are.
  std::int64_t bytes() const { return size_ * layout_.stride; }

  /// Appends nodes of zero bytes. Throws std::bad_alloc, and then nothing has changed.
  void grow(std::int64_t n);

  Node operator[](std::uint32_t i) const {
    return Node(layout_,
                chunks_[i >> shift_].get() + static_cast<std::int64_t>(i & mask_) * layout_.stride);
  }

  /// Ask for the first part of a node ahead of its use, and for what is left.
  void prefetch(std::uint32_t i) const {
    paradox::prefetch((*this)[i].data(), std::min(kPrefetchedBytes, layout_.stride));
  }
  void prefetch_rest(std::uint32_t i) const {
    paradox::prefetch((*this)[i].data() + kPrefetchedBytes, layout_.stride - kPrefetchedBytes);
  }
  /// Ask for what an expansion reads of a compact node.
  void prefetch_edges(std::uint32_t i) const {
    paradox::prefetch((*this)[i].data() + layout_.neighbours,
                      std::min(kPrefetchedBytes, layout_.stride - layout_.neighbours));
  }
  /// Ask for what a distance reads of a node.
  void prefetch_vector(std::uint32_t i) const {
    paradox::prefetch((*this)[i].data(), std::min(kPrefetchedBytes, layout_.codes));
  }

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::uint8_t* chunk) const;
  };

  NodeLayout layout_;
  int shift_;
  std::uint32_t mask_;
  std::int64_t size_ = 0;
  std::vector<std::unique_ptr<std::uint8_t, Unmap>> chunks_;
};

}  // namespace paradox
