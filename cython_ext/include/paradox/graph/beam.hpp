// The best candidates of a search, in order, each to be expanded once.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "paradox/graph/graph_kernels.hpp"

namespace paradox {

/// A key and the node it belongs to in one word, ordered as the keys are: the key's bits so that
/// integers compare like floats, the node, and whether it has been expanded.
class BeamEntry {
 public:
  static std::uint64_t of(float key, std::uint32_t node) {
    std::uint32_t bits;
    std::memcpy(&bits, &key, sizeof bits);
    bits ^= (bits & kSign) != 0 ? 0xffffffffu : kSign;
    return std::uint64_t{bits} << 32 | std::uint64_t{node} << 1;
  }
  static float key(std::uint64_t entry) {
    auto bits = static_cast<std::uint32_t>(entry >> 32);
    bits ^= (bits & kSign) != 0 ? kSign : 0xffffffffu;
    float key;
    std::memcpy(&key, &bits, sizeof key);
    return key;
  }
  static std::uint32_t node(std::uint64_t entry) { return static_cast<std::uint32_t>(entry) >> 1; }

 private:
  static constexpr std::uint32_t kSign = 0x80000000u;
};

/// A sorted array of at most `width` entries.
class Beam {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  void reset(int width);

  bool full() const { return size_ == width_; }
  /// Whether it is full of entries that have been expanded: others may have been dropped.
  bool is_spent() { return full() && peek() == kNone; }
  /// Only keys below are of use; +inf until the beam is full.
  float threshold() const {
    return full() ? BeamEntry::key(entries_[size_ - 1]) : std::numeric_limits<float>::infinity();
  }

  /// Takes the nearest entry not yet expanded; kNone if its key is above `farthest`.
  std::uint32_t pop(float farthest) {
    const std::uint32_t node = peek();
    if (node == kNone || BeamEntry::key(entries_[first_]) > farthest) return kNone;
    entries_[first_] |= 1;
    return node;
  }

  /// The key of what was popped, until others are merged or asked for.
  float popped_key() const { return BeamEntry::key(entries_[first_]); }

  /// The nearest entry not yet expanded, or kNone.
  std::uint32_t peek() {
    while (first_ < size_ && (entries_[first_] & 1) != 0) ++first_;
    return first_ == size_ ? kNone : BeamEntry::node(entries_[first_]);
  }

  /// Merges up to a block of entries, which may be changed; of too many the farthest are dropped.
  void merge(const GraphKernels& kernels, std::uint64_t* entries, int n);

 private:
  std::vector<std::uint64_t> entries_;  // and places for those to be dropped
  int width_ = 0, size_ = 0;
  int first_ = 0;  // all before it are expanded
};

/// The nodes a search has met: open addressing, emptied in one step.
class NodeSet {
 public:
  void clear();
  /// False if it is there already, which would be foreseen half of the time: no branch asks. The
  /// only one is whether a cell is of this epoch, but another node's.
  bool insert(std::uint32_t node) {
    const std::uint64_t wanted = std::uint64_t{epoch_} << 32 | node;
    std::uint32_t cell = static_cast<std::uint32_t>((node * 0x9e3779b97f4a7c15u) >> 32) & mask_;
    std::uint64_t difference = cells_[cell] ^ wanted;
    while (difference - 1 < 0xffffffffu) {
      cell = (cell + 1) & mask_;
      difference = cells_[cell] ^ wanted;
    }
    cells_[cell] = wanted;
    // 0, or of another epoch: carries, as GCC 12 makes a branch of a comparison with 0.
    const auto is_new = static_cast<std::uint32_t>(((difference >> 32) + 0xffffffffu) >> 32);
    size_ += is_new;
    if (2 * size_ > mask_) rebuild(2 * cells_.size());
    return is_new != 0;
  }

 private:
  void rebuild(std::size_t n_cells);

  std::vector<std::uint64_t> cells_;  // epoch, node
  std::uint32_t epoch_ = 0, mask_ = 0, size_ = 0;
};

}  // namespace paradox
