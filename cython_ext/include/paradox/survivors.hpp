// The rows of a scan that may be among the k nearest, as far as bounds tell.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "paradox/round.hpp"

namespace paradox {

struct Survivor {
  float lower;
  std::int64_t position;
};

/// Keeps every row whose lower bound is no greater than the k-th smallest upper bound so far. Where
/// that would be more rows than `limit`, the bounds do not pay, and it gives up.
class Survivors {
 public:
  Survivors(std::int64_t k, std::int64_t limit, float* threshold)
      : k_(static_cast<std::size_t>(k)),
        limit_(static_cast<std::size_t>(limit)),
        threshold_(threshold) {
    *threshold_ = std::numeric_limits<float>::infinity();
  }

  /// Could a row with this lower bound be among the k nearest?
  bool admits(float lower) const { return !(lower >= *threshold_); }

  void offer(float lower, float upper, std::int64_t position) {
    if (std::isnan(lower)) lower = -std::numeric_limits<float>::infinity();
    if (uppers_.size() < k_) {
      uppers_.push_back(upper);
      std::push_heap(uppers_.begin(), uppers_.end());
      if (uppers_.size() == k_) tighten();
    } else if (upper < uppers_.front()) {
      std::pop_heap(uppers_.begin(), uppers_.end());
      uppers_.back() = upper;
      std::push_heap(uppers_.begin(), uppers_.end());
      tighten();
    }
    if (rows_.size() >= room_) {
      drop(rows_, greatest_upper());
      if (rows_.size() >= limit_) return give_up();
      room_ = std::min(limit_, std::max(room_, 2 * rows_.size()));
    }
    rows_.push_back({lower, position});
  }

  /// Forgets the rows seen, which were a sample, and keeps what they say: that k rows are no
  /// farther than the k-th of them.
  void begin_anew() {
    ceiling_ = greatest_upper();
    uppers_.clear();
    rows_.clear();
  }

  /// No row beyond this is among the k nearest.
  float greatest_upper() const {
    return uppers_.size() == k_ ? std::min(ceiling_, uppers_.front()) : ceiling_;
  }

  void give_up() {
    gave_up_ = true;
    *threshold_ = -std::numeric_limits<float>::infinity();
    std::vector<Survivor>().swap(rows_);
  }

  bool gave_up() const { return gave_up_; }
  const std::vector<float>& uppers() const { return uppers_; }
  const std::vector<Survivor>& rows() const { return rows_; }

  static void drop(std::vector<Survivor>& rows, float limit) {
    const auto beyond = [=](const Survivor& row) { return row.lower > limit; };
    rows.erase(std::remove_if(rows.begin(), rows.end(), beyond), rows.end());
  }

 private:
  /// The kernels admit what is below the threshold, and a bound that equals must pass.
  void tighten() { *threshold_ = above(greatest_upper()); }

  static float above(float value) {
    return value < std::numeric_limits<float>::max() ? round_up(value) : value;
  }

  static constexpr std::size_t kFirstRoom = 256;

  std::size_t k_, limit_, room_ = kFirstRoom;
  float* threshold_;
  float ceiling_ = std::numeric_limits<float>::infinity();
  bool gave_up_ = false;
  std::vector<float> uppers_;  // the k smallest so far, a heap
  std::vector<Survivor> rows_;
};

}  // namespace paradox
