// The rows that a search has found, measured, and what it returns of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace paradox {

/// A row that may be among the nearest.
struct Answer {
  double distance;
  std::int64_t id, slot;
  bool operator<(const Answer& other) const {
    return distance < other.distance || (distance == other.distance && id < other.id);
  }
};

/// Writes the k nearest, -1 and +inf behind where there are fewer; returns how many there are.
inline std::int64_t write_nearest(std::vector<Answer>& answers, std::int64_t k, std::int64_t* ids,
                                  float* distances) {
  const auto n = std::min(static_cast<std::int64_t>(answers.size()), k);
  std::partial_sort(answers.begin(), answers.begin() + n, answers.end());
  for (std::int64_t j = 0; j < n; ++j) {
    ids[j] = answers[static_cast<std::size_t>(j)].id;
    distances[j] = static_cast<float>(answers[static_cast<std::size_t>(j)].distance);
  }
  std::fill(ids + n, ids + k, -1);
  std::fill(distances + n, distances + k, std::numeric_limits<float>::infinity());
  return n;
}

}  // namespace paradox
