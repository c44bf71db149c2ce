#include "paradox/graph/frontier.hpp"

#include <algorithm>

namespace paradox {
namespace {

constexpr std::uint32_t kLeastRoom = 512;
constexpr std::uint32_t kCellsPerNode = 4;  // with 2 a search takes 2 % longer, with 8 no less

}  // namespace

/// A search begins with few cells whatever those before have met: few are in the cache.
void Frontier::clear() {
  base_ += n_;
  n_ = 0;
  if (base_ > kNone / 2) {
    std::fill(cells_.begin(), cells_.end(), 0);
    base_ = 1;
  }
  if (room_ > kLeastRoom) use_room(kLeastRoom);
  make_room();
  std::fill_n(keys_.data(), kKeyLanes, kInfinity);
  touched_ = 1;
}

void Frontier::make_room() {
  if (n_ + kEdgeBlock + kKeyLanes <= room_) return;
  const std::uint32_t room = std::max(2 * room_, kLeastRoom);
  if (nodes_.size() < room) nodes_.resize(room);
  if (keys_.size() < room) keys_.resize(room);
  if (blocks_.size() < room / kBlock) blocks_.resize(room / kBlock);
  if (cells_.size() < kCellsPerNode * room) cells_.resize(kCellsPerNode * room);
  use_room(room);  // last, as memory may run out before
  base_ += n_;     // so all cells are empty
  for (std::uint32_t number = 0; number < n_; ++number) {
    std::uint32_t cell = nodes_[number] * kHash >> shift_;
    while (static_cast<std::uint32_t>(cells_[cell] >> 32) - base_ < number) {
      cell = (cell + 1) & mask_;
    }
    cells_[cell] = std::uint64_t{base_ + number} << 32 | nodes_[number];
  }
}

void Frontier::use_room(std::uint32_t room) {
  room_ = room;
  mask_ = kCellsPerNode * room - 1;
  shift_ = __builtin_clz(mask_);
}

std::uint32_t Frontier::peek(const GraphKernels& kernels, float farthest) {
  if (touched_ != 0) {
    least_ = {kInfinity, kInfinity, 0};
    for (std::uint32_t begin = 0; begin == 0 || begin < n_; begin += kBlock) {
      LeastKey& its = blocks_[begin / kBlock];
      if ((touched_ & block_bit(begin)) != 0) {
        const std::uint32_t n = std::min(kBlock, n_ - begin);
        its = kernels.least_key(keys_.data() + begin, std::max(n, kKeyLanes));
      }
      least_.bound = std::min(least_.bound, its.bound);
      if (its.key < least_.key) {
        least_.key = its.key;
        least_.at = begin + its.at;
      }
    }
    touched_ = 0;
  }
  return least_.key < kInfinity && least_.key <= farthest ? nodes_[least_.at] : kNone;
}

}  // namespace paradox
