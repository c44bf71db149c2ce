// The nodes that a search has met, of which it expands the nearest next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "paradox/aligned.hpp"
#include "paradox/graph/graph_kernels.hpp"
#include "paradox/shared_word.hpp"

namespace paradox {

/// Nodes, numbered in the order they are met in, and their keys.
class Frontier {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  Frontier() { clear(); }

  void clear();
  std::uint32_t size() const { return n_; }
  std::uint32_t node(std::uint32_t number) const { return nodes_[number]; }

  /// Meets those of up to 32 nodes, which a writer may be changing, that `which` has bits of. One
  /// that is known has the mean of the key it had and the new one then: what the edges to a node
  /// tell of it errs independently.
  void meet(const std::uint32_t* nodes, const float* keys, std::uint32_t which) {
    meet_each(nodes, which, [keys](int i, std::uint32_t is_known, float had) {
      return 0.5f * (either(is_known, had, keys[i]) + keys[i]);
    });
  }
  /// Meets n nodes, 1 to 32: those not known are not expanded before they have a key.
  void meet(const std::uint32_t* nodes, int n) {
    meet_each(nodes, first_bits(n), [](int, std::uint32_t is_known, float had) {
      return either(is_known, had, kInfinity);
    });
  }
  void set_key(std::uint32_t number, float key) {
    keys_[number] = key;
    floors_[number / kBlock] = std::min(floors_[number / kBlock], key);
    is_least_known_ = false;
  }

  /// The node of the least key that is not expanded, the first of equal ones; kNone where there is
  /// none, or its key is above `farthest`.
  std::uint32_t peek(const GraphKernels& kernels, float farthest);
  /// Expands it.
  std::uint32_t pop(const GraphKernels& kernels, float farthest) {
    const std::uint32_t node = peek(kernels, farthest);
    if (node != kNone) set_key(least_.at, kInfinity);
    return node;
  }
  /// The least key when `peek` or `pop` looked last, and where nodes are few a bound of the next
  /// ones.
  const LeastKey& least() const { return least_; }

 private:
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
  static constexpr std::uint32_t kBlock = 64;  // of nodes with a floor
  static constexpr std::uint32_t kHash = 0x9e3779b1;

  static std::uint32_t first_bits(int n) { return ~std::uint32_t{0} >> (32 - n); }
  /// One of two by a mask of all bits or none.
  static std::uint32_t either(std::uint32_t mask, std::uint32_t if_set, std::uint32_t if_not) {
    return if_not ^ ((if_set ^ if_not) & mask);
  }
  static float either(std::uint32_t mask, float if_set, float if_not);

  template <class Key>
  void meet_each(const std::uint32_t* nodes, std::uint32_t which, const Key& key);
  /// For 32 nodes, and the lanes behind. Throws std::bad_alloc, and then nothing has changed.
  void make_room();
  void use_room(std::uint32_t room);
  LeastKey least_by_blocks(const GraphKernels& kernels);

  std::uint32_t n_ = 0, base_ = 1;
  std::uint32_t room_ = 0, mask_ = 0;  // for so many nodes; of the cells for these
  int shift_ = 0;                      // of hashes
  bool is_least_known_ = false;        // whether no key has changed since `least_` was looked for
  LeastKey least_{};
  // Open addressing: base and the number of a node; empty where that is no node's, as is all of a
  // search before.
  AlignedVector<std::uint32_t> cells_;
  AlignedVector<std::uint32_t> nodes_;
  AlignedVector<float> keys_;    // +inf where a node is expanded, and behind the last
  AlignedVector<float> floors_;  // below which no key of a block is
};

inline float Frontier::either(std::uint32_t mask, float if_set, float if_not) {
  std::uint32_t a, b;
  std::memcpy(&a, &if_set, sizeof a);
  std::memcpy(&b, &if_not, sizeof b);
  a = either(mask, a, b);
  std::memcpy(&if_set, &a, sizeof a);
  return if_set;
}

/// Whether a node is known would be foreseen half of the time, so no branch asks. The only one is
/// whether a cell is another node's, which few are.
template <class Key>
void Frontier::meet_each(const std::uint32_t* nodes, std::uint32_t which, const Key& key) {
  make_room();
  std::uint32_t* cells = cells_.data();
  std::uint32_t* its_nodes = nodes_.data();
  float* its_keys = keys_.data();
  float* floors = floors_.data();
  const std::uint32_t mask = mask_, base = base_;
  const int shift = shift_;
  std::uint32_t n = n_;
  for (; which != 0; which &= which - 1) {
    const int i = __builtin_ctz(which);
    const std::uint32_t node = load_word(nodes[i]);
    std::uint32_t cell = node * kHash >> shift, number, is_known;
    for (;; cell = (cell + 1) & mask) {
      number = cells[cell] - base;
      is_known = static_cast<std::uint32_t>((std::uint64_t{number} - n) >> 32);  // number < n
      if ((is_known & (its_nodes[number & is_known] ^ node)) == 0) break;
    }
    number = either(is_known, number, n);
    const float its_key = key(i, is_known, its_keys[number]);
    float& floor = floors[number / kBlock];
    floor = its_key < floor ? its_key : floor;
    its_keys[number] = its_key;
    its_nodes[number] = node;
    cells[cell] = base + number;
    n += is_known + 1;
  }
  n_ = n;
  is_least_known_ = false;
  std::fill_n(its_keys + n, kKeyLanes, kInfinity);
}

}  // namespace paradox
