#include "paradox/ivf/inverted_list.hpp"

#include <algorithm>
#include <cmath>

#include "paradox/half.hpp"

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

/// Of the unit, the greatest value that is kept, and what one is made so that it becomes: room for
/// others 16 times as great, and for full precision of those 2^26 times as small.
constexpr float kMostUnits = 0x1p15f, kFirstUnits = 0x1p11f, kLeastUnit = 0x1p-100f;

}  // namespace

void InvertedList::own(const ListLayout& layout) {
  if (lent_blocks_ == nullptr) return;
  AlignedVector<std::uint8_t> blocks(
      lent_blocks_, lent_blocks_ + ListLayout::n_blocks(n_) * layout.block_bytes());
  own_blocks_.swap(blocks);
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
  make_room_for(layout, std::max(std::fabs(row.offset), row.slope));
  const auto place = static_cast<int>(n_ % kEdgeBlock);
  if (place == 0) {
    const auto end = own_blocks_.size();
    own_blocks_.resize(end + static_cast<std::size_t>(layout.block_bytes()), 0);
    std::fill_n(at<std::uint32_t>(own_blocks_.data() + end, layout.numbers(), 0), kEdgeBlock,
                kNoRow);
  }
  std::uint8_t* block = own_blocks_.data() + n_ / kEdgeBlock * layout.block_bytes();
  put_signs(block, layout.dim, place, row.signs);
  *at<Half>(block, layout.offsets(), place) = to_half(row.offset / unit_);
  *at<Half>(block, layout.slopes(), place) = to_half(row.slope / unit_);
  *at<std::uint32_t>(block, layout.numbers(), place) = row.number;
  if (supplement != nullptr) {
    own_rows_.insert(own_rows_.end(), supplement, supplement + layout.row_bytes());
  }
  ++n_;
}

/// A list's first rows may be far nearer to its centre than those that come: where one unit was for
/// all lists, and chosen once, such rows could not be told apart.
void InvertedList::make_room_for(const ListLayout& layout, float value) {
  if (!std::isfinite(value)) return;  // of a damaged file
  if (n_ > 0 ? value <= kMostUnits * unit_ : value == 0.0f) return;
  const float unit = std::max(std::exp2(std::ceil(std::log2(value / kFirstUnits))), kLeastUnit);
  const float factor = unit_ / unit;
  unit_ = unit;
  for (std::int64_t i = 0; i < n_; ++i) {
    std::uint8_t* block = own_blocks_.data() + i / kEdgeBlock * layout.block_bytes();
    const auto place = static_cast<int>(i % kEdgeBlock);
    for (Half* half :
         {at<Half>(block, layout.offsets(), place), at<Half>(block, layout.slopes(), place)}) {
      *half = to_half(factor * to_float(*half));
    }
  }
}

bool InvertedList::remove(const ListLayout& layout, std::uint32_t number) {
  for (std::int64_t i = 0; i < n_; ++i) {
    if (this->number(layout, i) != number) continue;
    mark_removed(layout, i);
    return true;
  }
  return false;
}

void InvertedList::mark_removed(const ListLayout& layout, std::int64_t i) {
  own(layout);
  std::uint8_t* block = own_blocks_.data() + i / kEdgeBlock * layout.block_bytes();
  *at<std::uint32_t>(block, layout.numbers(), static_cast<int>(i % kEdgeBlock)) = kNoRow;
  ++n_removed_;
}

void InvertedList::keep(const ListLayout& layout, const std::vector<std::int64_t>& from) {
  InvertedList kept;
  kept.unit_ = unit_;
  kept.reserve(layout, static_cast<std::int64_t>(from.size()), true);
  std::vector<std::uint8_t> signs(static_cast<std::size_t>(layout.dim / 8));
  for (const std::int64_t i : from) {
    auto* block = const_cast<std::uint8_t*>(this->block(layout, i / kEdgeBlock));
    const auto place = static_cast<int>(i % kEdgeBlock);
    get_signs(block, layout.dim, place, signs.data());
    kept.append(layout,
                {unit_ * to_float(*at<Half>(block, layout.offsets(), place)),
                 unit_ * to_float(*at<Half>(block, layout.slopes(), place)), number(layout, i),
                 signs.data()},
                supplement(layout, i).data);
  }
  *this = std::move(kept);
}

}  // namespace paradox
