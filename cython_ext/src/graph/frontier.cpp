#include "paradox/graph/frontier.hpp"

#include <algorithm>

namespace paradox {
namespace {

constexpr std::uint32_t kLeastRoom = 512;
constexpr std::uint32_t kCellsPerNode = 4;  // with 2 a search takes 2 % longer, with 8 no less

/// The least key of so many is looked for in one go, of more by floors.
constexpr std::uint32_t kFew = 512;

}  // namespace

/// A search begins with few cells whatever those before have met: few are in the cache.
void Frontier::clear() {
  base_ += n_;
  n_ = 0;
  if (base_ > kNone / 2) {
    std::fill(cells_.begin(), cells_.end(), 0);
    base_ = 1;
  }
  room_ = 0;
  make_room();
  std::fill_n(keys_.data(), kKeyLanes, kInfinity);
  is_least_known_ = false;
}

void Frontier::make_room() {
  if (n_ + kEdgeBlock + kKeyLanes <= room_) return;
  const std::uint32_t room = std::max(2 * room_, kLeastRoom);
  if (nodes_.size() < room) nodes_.resize(room);
  if (keys_.size() < room) keys_.resize(room);
  if (floors_.size() < room / kBlock + kKeyLanes) floors_.resize(room / kBlock + kKeyLanes);
  const std::size_t n_cells = std::size_t{kCellsPerNode} * room;
  if (cells_.size() < n_cells) cells_.resize(n_cells);
  use_room(room);  // last, as memory may run out before
  base_ += n_;     // so all cells are empty
  for (std::uint32_t number = 0; number < n_; ++number) {
    std::uint32_t cell = nodes_[number] * kHash >> shift_;
    while (cells_[cell] - base_ < number) cell = (cell + 1) & mask_;
    cells_[cell] = base_ + number;
  }
}

void Frontier::use_room(std::uint32_t room) {
  std::fill(floors_.begin() + room_ / kBlock, floors_.begin() + room / kBlock + kKeyLanes,
            kInfinity);
  room_ = room;
  mask_ = kCellsPerNode * room - 1;
  shift_ = __builtin_clz(mask_);
}

std::uint32_t Frontier::peek(const GraphKernels& kernels, float farthest) {
  if (!is_least_known_) {
    least_ = n_ > kFew ? least_by_blocks(kernels)
                       : kernels.least_key(keys_.data(), std::max(n_, kKeyLanes));
    is_least_known_ = true;
  }
  return least_.key < kInfinity && least_.key <= farthest ? nodes_[least_.at] : kNone;
}

/// Floors only fall as nodes are met, and are raised here, where they are the least.
LeastKey Frontier::least_by_blocks(const GraphKernels& kernels) {
  const std::uint32_t n_blocks = (n_ + kBlock - 1) / kBlock;
  for (;;) {
    const LeastKey floor = kernels.least_key(floors_.data(), std::max(n_blocks, kKeyLanes));
    const std::uint32_t begin = floor.at * kBlock;
    const std::uint32_t n = std::min(kBlock, n_ - begin);
    const LeastKey least = kernels.least_key(keys_.data() + begin, std::max(n, kKeyLanes));
    floors_[floor.at] = least.key;
    if (!(least.key > floor.key)) return {least.key, kInfinity, begin + least.at};
  }
}

}  // namespace paradox
