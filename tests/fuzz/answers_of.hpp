// What must hold of an answer, whatever the index was made of.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <unordered_set>
#include <vector>

#include "runs.hpp"

namespace fuzz {

/// Ids and distances (n, k) of some queries.
struct Found {
  Found(std::int64_t n_queries, std::int64_t k_nearest)
      : n(n_queries), k(k_nearest), ids(n * k, -7), distances(n * k, -7.0f) {}

  std::int64_t n, k;
  std::vector<std::int64_t> ids;
  std::vector<float> distances;

  /// Ids are such as may be found, each once; distances ascend; padding comes last.
  template <class MayBeFound>
  void check(const MayBeFound& may_be_found) const {
    for (std::int64_t q = 0; q < n; ++q) {
      std::unordered_set<std::int64_t> seen;
      float before = -std::numeric_limits<float>::infinity();
      bool is_over = false;
      for (std::int64_t j = q * k; j < (q + 1) * k; ++j) {
        const std::int64_t id = ids[static_cast<std::size_t>(j)];
        const float distance = distances[static_cast<std::size_t>(j)];
        is_over = is_over || id == -1;
        if (is_over) {
          expect(id == -1 && distance == std::numeric_limits<float>::infinity(), "padding");
          continue;
        }
        expect(may_be_found(id), "an id that may be found");
        expect(seen.insert(id).second, "every id once");
        expect(std::isfinite(distance) && distance >= before, "distances that ascend");
        before = distance;
      }
    }
  }
};

}  // namespace fuzz
