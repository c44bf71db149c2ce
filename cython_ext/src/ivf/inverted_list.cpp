#include "paradox/ivf/inverted_list.hpp"

#include <algorithm>

namespace paradox {
namespace {

/// Puts four signs at a time into the nibbles of a place.
void put_signs(std::uint8_t* block, int dim, int place, const std::uint8_t* signs) {
  const bool high = place >= 16;
  for (int group = 0; group < dim / 4; ++group) {
    std::uint8_t& byte = block[group * 16 + place % 16];
    const int nibble = signs[group / 2] >> (group % 2 * 4) & 15;
    byte = static_cast<std::uint8_t>(high ? (byte & 0x0f) | nibble << 4 : (byte & 0xf0) | nibble);
  }
}

void get_signs(const std::uint8_t* block, int dim, int place, std::uint8_t* signs) {
  for (int group = 0; group < dim / 4; group += 2) {
    const std::uint8_t* bytes = block + group * 16 + place % 16;
    const int shift = place >= 16 ? 4 : 0;
    signs[group / 2] =
        static_cast<std::uint8_t>((bytes[0] >> shift & 15) | (bytes[16] >> shift & 15) << 4);
  }
}

template <class Value>
Value* at(std::uint8_t* block, std::int64_t offset, int place) {
  return reinterpret_cast<Value*>(block + offset) + place;
}

}  // namespace

void InvertedList::own(const ListLayout& layout) {
  if (lent_blocks_ == nullptr) return;
  own_blocks_.assign(lent_blocks_, lent_blocks_ + ListLayout::n_blocks(n_) * layout.block_bytes());
  lent_blocks_ = nullptr;
}

void InvertedList::reserve(const ListLayout& layout, std::int64_t n, bool with_supplement) {
  own(layout);
  const auto grow = [](AlignedVector<std::uint8_t>& buffer, std::int64_t wanted) {
    const auto size = static_cast<std::size_t>(wanted);
    if (size > buffer.capacity()) buffer.reserve(std::max(size, buffer.capacity() * 5 / 4));
  };
  grow(own_blocks_, ListLayout::n_blocks(n_ + n) * layout.block_bytes());
  if (with_supplement) grow(own_rows_, (n_ + n - n_lent_) * layout.row_bytes());
}

void InvertedList::append(const ListLayout& layout, const ListRow& row,
                          const std::uint8_t* supplement) {
  const auto place = static_cast<int>(n_ % kEdgeBlock);
  if (place == 0) {
    const auto end = own_blocks_.size();
    own_blocks_.resize(end + static_cast<std::size_t>(layout.block_bytes()), 0);
    std::fill_n(at<std::uint32_t>(own_blocks_.data() + end, layout.numbers(), 0), kEdgeBlock,
                kNoRow);
  }
  std::uint8_t* block = own_blocks_.data() + n_ / kEdgeBlock * layout.block_bytes();
  put_signs(block, layout.dim, place, row.signs);
  *at<Half>(block, layout.offsets(), place) = row.offset;
  *at<Half>(block, layout.slopes(), place) = row.slope;
  *at<std::uint32_t>(block, layout.numbers(), place) = row.number;
  if (supplement != nullptr) {
    own_rows_.insert(own_rows_.end(), supplement, supplement + layout.row_bytes());
  }
  ++n_;
}

bool InvertedList::remove(const ListLayout& layout, std::uint32_t number) {
  for (std::int64_t i = 0; i < n_; ++i) {
    if (this->number(layout, i) != number) continue;
    own(layout);
    std::uint8_t* block = own_blocks_.data() + i / kEdgeBlock * layout.block_bytes();
    *at<std::uint32_t>(block, layout.numbers(), static_cast<int>(i % kEdgeBlock)) = kNoRow;
    ++n_removed_;
    return true;
  }
  return false;
}

void InvertedList::keep(const ListLayout& layout, const std::vector<std::int64_t>& from) {
  InvertedList kept;
  kept.reserve(layout, static_cast<std::int64_t>(from.size()), true);
  std::vector<std::uint8_t> signs(static_cast<std::size_t>(layout.dim / 8));
  for (const std::int64_t i : from) {
    auto* block = const_cast<std::uint8_t*>(this->block(layout, i / kEdgeBlock));
    const auto place = static_cast<int>(i % kEdgeBlock);
    get_signs(block, layout.dim, place, signs.data());
    kept.append(layout,
                {*at<Half>(block, layout.offsets(), place),
                 *at<Half>(block, layout.slopes(), place), number(layout, i), signs.data()},
                supplement(layout, i).data);
  }
  *this = std::move(kept);
}

}  // namespace paradox
