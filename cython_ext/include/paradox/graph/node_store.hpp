// The memory of the nodes: it grows without moving what is there, beside threads that read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "paradox/graph/node_layout.hpp"
#include "paradox/prefetch.hpp"
#include "paradox/shared_word.hpp"

namespace paradox {

/// Nodes numbered from 0, in chunks of equal size that ask for huge pages: a search reads whole
/// nodes at random, and with 4 KiB pages would miss the TLB at each.
class NodeStore {
 public:
  explicit NodeStore(const NodeLayout& layout);
  NodeStore(const NodeStore& other);

  std::int64_t size() const { return peek_word(size_); }
  /// Bytes of the nodes there are.
  std::int64_t bytes() const { return size() * layout_.stride; }

  /// Appends nodes of zero bytes. Throws std::bad_alloc, and then nothing has changed.
  void grow(std::int64_t n);

  Node operator[](std::uint32_t i) const {
    return Node(layout_, peek_word(table_)[i >> shift_] +
                             static_cast<std::int64_t>(i & mask_) * layout_.stride);
  }

  /// Ask for the first part of a node ahead of its use, and for what is left.
  void prefetch(std::uint32_t i) const {
    paradox::prefetch((*this)[i].data(), std::min(kPrefetchedBytes, layout_.stride));
  }
  void prefetch_rest(std::uint32_t i) const {
    paradox::prefetch((*this)[i].data() + kPrefetchedBytes, layout_.stride - kPrefetchedBytes);
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

  using Chunk = std::unique_ptr<std::uint8_t, Unmap>;

  /// Enters a chunk into the table: where that is full, into one of twice its size. The one before
  /// stays for those that read it, and with it all of them take as much again as the last.
  void append(Chunk chunk) {
    if (chunks_.size() == n_places_) {
      n_places_ = std::max<std::size_t>(2 * n_places_, 16);
      tables_.push_back(std::make_unique<std::uint8_t*[]>(n_places_));
      std::transform(chunks_.begin(), chunks_.end(), tables_.back().get(),
                     [](const Chunk& held) { return held.get(); });
    }
    chunks_.push_back(std::move(chunk));
    tables_.back()[chunks_.size() - 1] = chunks_.back().get();
    store_word(table_, tables_.back().get());
  }

  NodeLayout layout_;
  int shift_;
  std::uint32_t mask_;
  std::int64_t size_ = 0;
  std::uint8_t** table_ = nullptr;  // the last of the tables
  std::size_t n_places_ = 0;        // in it
  std::vector<std::unique_ptr<std::uint8_t*[]>> tables_;
  std::vector<Chunk> chunks_;
};

}  // namespace paradox
