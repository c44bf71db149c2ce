// The k nearest so far.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace paradox {

struct Candidate {
  float distance = std::numeric_limits<float>::infinity();
  std::int64_t position = std::numeric_limits<std::int64_t>::max();
};

/// Nearest first, ties by lower position: a total order, since distances are never NaN. The k
/// smallest under it are the same however the rows were split.
inline bool operator<(const Candidate& a, const Candidate& b) {
  return a.distance < b.distance || (a.distance == b.distance && a.position < b.position);
}

/// Keeps the k nearest of a stream in ascending positions: an unordered pool that is cut back to
/// the k nearest whenever it is full, which costs O(1) per candidate whatever k is.
class CandidatePool {
 public:
  /// How many candidates a pool for `k` needs memory for.
  static std::int64_t capacity(std::int64_t k) { return k + std::max<std::int64_t>(k, 32); }

  CandidatePool(Candidate* storage, std::int64_t k, float* threshold)
      : items_(storage), k_(k), threshold_(threshold) {
    *threshold_ = std::numeric_limits<float>::quiet_NaN();  // until k are held, admit even +inf
  }

  void offer(float distance, std::int64_t position) {
    if (distance >= *threshold_) return;  // at the threshold, the lower position is already held
    items_[size_++] = {distance, position};
    if (size_ == capacity(k_)) cut();
  }

  /// Cuts back to the k nearest, in no order, and returns how many there are.
  std::int64_t cut() {
    if (size_ > k_) {
      std::nth_element(items_, items_ + (k_ - 1), items_ + size_);
      size_ = k_;
      *threshold_ = items_[k_ - 1].distance;
    }
    return size_;
  }

 private:
  Candidate* items_;
  std::int64_t k_;
  std::int64_t size_ = 0;
  float* threshold_;
};

}  // namespace paradox
