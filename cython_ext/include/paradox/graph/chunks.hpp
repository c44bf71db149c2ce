// Memory that grows without moving what is there, beside threads that read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "paradox/shared_word.hpp"

namespace paradox {

/// Records of equal size, numbered from 0, in chunks that ask for huge pages: a search reads whole
/// nodes at random, and with 4 KiB pages would miss the TLB at each.
class Chunks {
 public:
  explicit Chunks(std::int64_t record_bytes);
  Chunks(const Chunks& other);

  std::int64_t size() const { return peek_word(size_); }
  std::int64_t record_bytes() const { return record_bytes_; }
  /// Of the records there are.
  std::int64_t bytes() const { return size() * record_bytes_; }

  /// Appends records of zero bytes. Throws std::bad_alloc, and then nothing has changed.
  void grow(std::int64_t n);

  std::uint8_t* operator[](std::uint32_t i) const {
    return peek_word(table_)[i >> shift_] + static_cast<std::int64_t>(i & mask_) * record_bytes_;
  }

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::uint8_t* chunk) const;
  };

  using Chunk = std::unique_ptr<std::uint8_t, Unmap>;

  /// Enters a chunk into the table: where that is full, into one of twice its size. The one before
  /// stays for those that read it, and with it all of them take as much again as the last.
  void append(Chunk chunk) {
    if (chunks_.size() == n_places_) {
      const std::size_t n_places = std::max<std::size_t>(2 * n_places_, 16);
      tables_.push_back(std::make_unique<std::uint8_t*[]>(n_places));
      n_places_ = n_places;
      std::transform(chunks_.begin(), chunks_.end(), tables_.back().get(),
                     [](const Chunk& held) { return held.get(); });
    }
    chunks_.push_back(std::move(chunk));
    tables_.back()[chunks_.size() - 1] = chunks_.back().get();
    store_word(table_, tables_.back().get());
  }

  std::int64_t record_bytes_;
  int shift_ = 0;
  std::uint32_t mask_;
  std::int64_t size_ = 0;
  std::uint8_t** table_ = nullptr;  // the last of the tables
  std::size_t n_places_ = 0;        // in it
  std::vector<std::unique_ptr<std::uint8_t*[]>> tables_;
  std::vector<Chunk> chunks_;
};

}  // namespace paradox
