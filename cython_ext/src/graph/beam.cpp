#include "paradox/graph/beam.hpp"

#include <algorithm>

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

}  // namespace

void Beam::merge(std::uint64_t* entries, int n) {
  sort(entries, n);
  int ours = size_ - 1, theirs = n - 1;
  for (int to = size_ + n - 1; theirs >= 0; --to) {  // without a branch, foreseen half of the time
    const std::uint64_t our_last = ours >= 0 ? entries_[ours] : 0;
    const std::uint64_t their_last = entries[theirs];
    const int take_ours = our_last > their_last ? 1 : 0;
    entries_[to] = std::max(our_last, their_last);
    ours -= take_ours;
    theirs -= 1 - take_ours;
  }
  size_ = std::min(size_ + n, width_);
  first_ = std::min(first_, ours + 1);
}

void NodeSet::clear() {
  size_ = 0;
  if (++epoch_ == 0 || cells_.empty()) rebuild(std::max<std::size_t>(cells_.size(), 1024));
}

void NodeSet::rebuild(std::size_t n_cells) {
  const std::vector<std::uint64_t> old = std::move(cells_);
  const std::uint32_t epoch = epoch_;
  const bool keep = size_ > 0;
  cells_.assign(n_cells, 0);
  mask_ = static_cast<std::uint32_t>(n_cells - 1);
  epoch_ = 1;
  size_ = 0;
  if (!keep) return;
  for (const std::uint64_t cell : old) {
    if (static_cast<std::uint32_t>(cell >> 32) == epoch) insert(static_cast<std::uint32_t>(cell));
  }
}

}  // namespace paradox
