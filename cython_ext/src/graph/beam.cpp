#include "paradox/graph/beam.hpp"

#include <algorithm>

namespace paradox {

void Beam::reset(int width) {
  width_ = width;
  size_ = first_ = 0;
  entries_.assign(static_cast<std::size_t>(width) + kEdgeBlock, kNoEntry);
}

void Beam::merge(const GraphKernels& kernels, std::uint64_t* entries, int n) {
  first_ = std::min(first_, kernels.insert(entries_.data(), size_, width_, entries, n));
  size_ = std::min(size_ + n, width_);
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
