#include "paradox/graph/beam.hpp"

#include <algorithm>
#include <limits>

namespace paradox {

float Beam::threshold() const {
  return full() ? BeamEntry::key(entries_[size_ - 1]) : std::numeric_limits<float>::infinity();
}

void Beam::merge(std::uint64_t* entries, int n) {
  for (int i = 1; i < n; ++i) {  // a node brings a handful: insertion sort
    const std::uint64_t entry = entries[i];
    int at = i;
    for (; at > 0 && entries[at - 1] > entry; --at) entries[at] = entries[at - 1];
    entries[at] = entry;
  }
  int ours = size_ - 1, theirs = n - 1;
  const int total = size_ + n;
  for (int excess = total - width_; excess > 0; --excess) {
    const bool drop_ours = ours >= 0 && (theirs < 0 || entries_[ours] > entries[theirs]);
    drop_ours ? --ours : --theirs;
  }
  size_ = std::min(total, width_);
  for (int to = size_ - 1; theirs >= 0; --to) {
    const bool take_ours = ours >= 0 && entries_[ours] > entries[theirs];
    entries_[to] = take_ours ? entries_[ours--] : entries[theirs--];
  }
  first_ = std::min(first_, ours + 1);
}

void NodeSet::clear() {
  size_ = 0;
  if (++epoch_ == 0 || cells_.empty()) rebuild(std::max<std::size_t>(cells_.size(), 1024));
}

bool NodeSet::insert(std::uint32_t node) {
  std::uint32_t cell = static_cast<std::uint32_t>((node * 0x9e3779b97f4a7c15u) >> 40) & mask_;
  while (static_cast<std::uint32_t>(cells_[cell] >> 32) == epoch_) {
    if (static_cast<std::uint32_t>(cells_[cell]) == node) return false;
    cell = (cell + 1) & mask_;
  }
  cells_[cell] = std::uint64_t{epoch_} << 32 | node;
  if (2 * ++size_ > mask_) rebuild(2 * cells_.size());
  return true;
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
