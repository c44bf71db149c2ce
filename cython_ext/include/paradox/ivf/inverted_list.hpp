// Where the parts of a list lie. A search reads blocks of 32 rows in order,
//
//     sign codes | offsets | slopes | row numbers
//
// the codes as in `node_layout.hpp`, and of the rows that may be near the supplement,
//
//     scale | term | int8 residual
//
// which may lie in a mapped file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/graph/node_layout.hpp"
#include "paradox/matrix.hpp"

namespace paradox {

/// The number of no row: of one removed, or of a place not yet used.
constexpr std::uint32_t kNoRow = ~std::uint32_t{0};

struct ListLayout {
  explicit ListLayout(int dim) : dim(dim) {}

  int dim;  // of vectors as kept: padded and rotated
  std::int64_t offsets() const { return std::int64_t{kEdgeBlock} * dim / 8; }
  std::int64_t slopes() const { return offsets() + 2 * kEdgeBlock; }
  std::int64_t numbers() const { return slopes() + 2 * kEdgeBlock; }
  std::int64_t block_bytes() const { return numbers() + 4 * kEdgeBlock; }
  std::int64_t row_bytes() const { return 8 + dim; }
  static std::int64_t n_blocks(std::int64_t n) { return (n + kEdgeBlock - 1) / kEdgeBlock; }
};

/// One row as its list keeps it.
struct ListRow {
  float offset, slope;  // halves of the list's unit from then on
  std::uint32_t number;
  const std::uint8_t* signs;  // (dim / 8,), bits from the first dimension on
};

/// A row of the supplement.
struct Supplement {
  const std::uint8_t* data;
  float scale() const { return read(reinterpret_cast<const float*>(data)); }
  float term() const { return read(reinterpret_cast<const float*>(data) + 1); }
  const std::int8_t* residual() const { return reinterpret_cast<const std::int8_t*>(data + 8); }
};

/// Rows of one list. What it was restored from is left where it is until it changes.
class InvertedList {
 public:
  std::int64_t size() const { return n_; }
  std::int64_t n_removed() const { return n_removed_; }
  std::int64_t n_live() const { return n_ - n_removed_; }
  /// The value of 1 among offsets and slopes.
  float unit() const { return unit_; }
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(own_blocks_.capacity() + own_rows_.capacity());
  }

  const std::uint8_t* block(const ListLayout& layout, std::int64_t b) const {
    return blocks() + b * layout.block_bytes();
  }
  std::uint32_t number(const ListLayout& layout, std::int64_t i) const {
    const std::uint8_t* at = block(layout, i / kEdgeBlock) + layout.numbers();
    return read(reinterpret_cast<const std::uint32_t*>(at) + i % kEdgeBlock);
  }
  Supplement supplement(const ListLayout& layout, std::int64_t i) const {
    return {i < n_lent_ ? lent_rows_ + i * layout.row_bytes()
                        : own_rows_.data() + (i - n_lent_) * layout.row_bytes()};
  }
  const std::uint8_t* blocks() const {
    return lent_blocks_ != nullptr ? lent_blocks_ : own_blocks_.data();
  }

  /// Makes room for n more rows; with supplements unless these are kept elsewhere. What follows,
  /// so many appended and any removed, does not throw.
  void reserve(const ListLayout& layout, std::int64_t n, bool with_supplement);
  void append(const ListLayout& layout, const ListRow& row, const std::uint8_t* supplement);

  /// Takes into memory what `remove` writes to: it does not throw after that.
  void own(const ListLayout& layout);
  /// Marks the row of a number as removed; false if it is not here.
  bool remove(const ListLayout& layout, std::uint32_t number);
  /// Marks those rows as removed whose number is to go.
  template <class IsToGo>
  void remove_if(const ListLayout& layout, const IsToGo& is_to_go) {
    for (std::int64_t i = 0; i < n_; ++i) {
      const std::uint32_t row = number(layout, i);
      if (row != kNoRow && is_to_go(row)) mark_removed(layout, i);
    }
  }

  /// Whether there are more rows than so many, and than would be split in vain again.
  bool is_longer(std::int64_t n) const { return n_ > std::max(n, 2 * n_unsplit_); }
  void not_to_be_split() { n_unsplit_ = n_; }

  /// Keeps row from[i] in place i, for ascending ones, and no others.
  void keep(const ListLayout& layout, const std::vector<std::int64_t>& from);

  void lend(const std::uint8_t* blocks, const std::uint8_t* rows, std::int64_t n,
            std::int64_t n_removed, float unit) {
    *this = {};
    lent_blocks_ = blocks;
    lent_rows_ = rows;
    n_ = n_lent_ = n;
    n_removed_ = n_removed;
    unit_ = unit;
  }

 private:
  void mark_removed(const ListLayout& layout, std::int64_t i);
  /// Makes the unit such that a value, of 0 or more, is far from the greatest half.
  void make_room_for(const ListLayout& layout, float value);

  AlignedVector<std::uint8_t> own_blocks_, own_rows_;
  const std::uint8_t *lent_blocks_ = nullptr, *lent_rows_ = nullptr;
  std::int64_t n_ = 0, n_lent_ = 0, n_removed_ = 0, n_unsplit_ = 0;
  float unit_ = 1.0f;  // a power of two
};

}  // namespace paradox
