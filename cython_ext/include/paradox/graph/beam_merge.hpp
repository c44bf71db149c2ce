// Puts entries into a beam by sorting and merging: where there are no vectors of them, or they are
// too many to be put in one by one.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <algorithm>
#include <cstdint>

#include "paradox/graph/node_layout.hpp"

namespace paradox {
namespace {

/// Fewer entries are sorted by insertion as fast.
constexpr int kMany = 10;

/// Puts entries where the ranks of their keys are: all pairs are compared, but without a branch.
/// Does nothing if keys are equal.
void sort_by_rank(std::uint64_t* entries, int n) {
  std::int32_t keys[kEdgeBlock];
  for (int i = 0; i < kEdgeBlock; ++i) {
    const std::uint64_t key = i < n ? entries[i] >> 32 : 0xffffffffu;
    keys[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(key) ^ 0x80000000u);
  }
  int ranks[kEdgeBlock], sum = 0;
  for (int i = 0; i < n; ++i) {
    int rank = 0;
    for (int j = 0; j < kEdgeBlock; ++j) rank += keys[j] < keys[i] ? 1 : 0;
    sum += ranks[i] = rank;
  }
  if (sum != n * (n - 1) / 2) return;
  std::uint64_t sorted[kEdgeBlock];
  for (int i = 0; i < n; ++i) sorted[ranks[i]] = entries[i];
  std::copy(sorted, sorted + n, entries);
}

/// Of up to a block of entries.
void sort(std::uint64_t* entries, int n) {
  if (n > kMany) sort_by_rank(entries, n);
  for (int i = 1; i < n; ++i) {
    const std::uint64_t entry = entries[i];
    int at = i;
    for (; at > 0 && entries[at - 1] > entry; --at) entries[at] = entries[at - 1];
    entries[at] = entry;
  }
}

/// `GraphKernels::insert`.
int insert_by_merge(std::uint64_t* sorted, int size, int /*width*/, std::uint64_t* entries, int n) {
  sort(entries, n);
  int ours = size - 1;
  for (int theirs = n - 1; theirs >= 0; --theirs) {
    for (; ours >= 0 && sorted[ours] > entries[theirs]; --ours) {
      sorted[ours + theirs + 1] = sorted[ours];
    }
    sorted[ours + theirs + 1] = entries[theirs];
  }
  return ours + 1;
}

}  // namespace
}  // namespace paradox
