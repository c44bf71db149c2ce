// The next rows to look at, a block at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "paradox/aligned.hpp"

namespace paradox {

/// The next allowed rows of a range, where they lie.
struct RowBlock {
  std::int64_t n = 0;
  std::int64_t* positions;
  const void** rows;

  RowBlock(AlignedVector<std::int64_t>& positions_kept, AlignedVector<const void*>& rows_kept,
           std::int64_t capacity)
      : positions(at_least(positions_kept, capacity)),
        rows(at_least(rows_kept, capacity)),
        capacity_(capacity) {}

  /// Fills from `begin` and returns where to go on.
  template <class Rows>
  std::int64_t fill(const Rows& all, const std::uint8_t* allow, std::int64_t begin,
                    std::int64_t end) {
    if (allow == nullptr) {  // all; asking row by row took a sixth of a scan for one query
      n = std::min(capacity_, end - begin);
      for (std::int64_t i = 0; i < n; ++i) {
        positions[i] = begin + i;
        rows[i] = all.row(begin + i);
      }
      return begin + n;
    }
    for (n = 0; n < capacity_; ++begin) {
      begin = next_allowed(allow, begin, end);
      if (begin == end) return end;
      positions[n] = begin;
      rows[n++] = all.row(begin);
    }
    return begin;
  }

  /// Fills with rows from all over the range: the first allowed one of each of as many parts.
  template <class Rows>
  void sample(const Rows& all, const std::uint8_t* allow, std::int64_t begin, std::int64_t end) {
    n = 0;
    const std::int64_t length = end - begin;
    for (std::int64_t part = 0; part < capacity_; ++part) {
      const std::int64_t part_end = begin + length * (part + 1) / capacity_;
      const std::int64_t row = next_allowed(allow, begin + length * part / capacity_, part_end);
      if (row == part_end) continue;
      positions[n] = row;
      rows[n++] = all.row(row);
    }
  }

  /// Are the rows neighbours, none left out between them?
  bool is_whole() const { return positions[n - 1] - positions[0] == n - 1; }

 private:
  /// The first allowed row from `begin` on; `end` if there is none before it.
  static std::int64_t next_allowed(const std::uint8_t* allow, std::int64_t begin,
                                   std::int64_t end) {
    if (allow == nullptr || begin >= end) return std::min(begin, end);
    const void* next = std::memchr(allow + begin, 1, static_cast<std::size_t>(end - begin));
    return next == nullptr ? end : static_cast<const std::uint8_t*>(next) - allow;
  }

  std::int64_t capacity_;
};

}  // namespace paradox
