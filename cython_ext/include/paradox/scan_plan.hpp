// How a search is cut into tasks: groups of queries by slices of rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace paradox {

/// Below so many queries each is compared with each row on its own; from there on the tile is
/// faster.
constexpr std::int64_t kTileQueries = 4;

/// A block of rows stays in the second-level cache while all queries of a group pass over it.
constexpr std::int64_t kBlockBytes = 128 * 1024;

/// Queries of a group, whose candidate pools and panels are alive at once.
constexpr std::int64_t kGroupQueries = 256;

/// The answer does not depend on the plan.
struct ScanPlan {
  std::int64_t n_groups = 1, n_slices = 1;

  /// Up to `group_queries` a group; no panels where queries are compared one by one.
  ScanPlan(std::int64_t n_queries, std::int64_t group_queries, std::int64_t n_panels,
           std::int64_t n_rows, std::int64_t k, int threads) {
    if (n_panels > 0) {
      n_groups = (n_queries + group_queries - 1) / group_queries;
      if (n_groups > 1) n_groups = (n_groups + threads - 1) / threads * threads;
      n_groups = std::min(n_groups, n_panels);
    }
    if (n_groups < threads) {
      const std::int64_t tasks = 4 * static_cast<std::int64_t>(threads);
      const std::int64_t wanted = (tasks + n_groups - 1) / n_groups;
      const std::int64_t least_rows = std::max<std::int64_t>(1024, 4 * k);
      n_slices = std::clamp<std::int64_t>(n_rows / least_rows, 1, wanted);
    }
  }

  static std::pair<std::int64_t, std::int64_t> share(std::int64_t n, std::int64_t part,
                                                     std::int64_t parts) {
    return {n * part / parts, n * (part + 1) / parts};
  }

  /// First and last panel of a group.
  std::pair<std::int64_t, std::int64_t> panels(std::int64_t group, std::int64_t n_panels) const {
    return share(n_panels, group, n_groups);
  }

  /// First and last query of a group: of whole panels, where there are any.
  template <class Panel>
  std::pair<std::int64_t, std::int64_t> queries(std::int64_t group, std::int64_t n,
                                                const std::vector<Panel>& all) const {
    if (all.empty()) return share(n, group, n_groups);
    const auto [first, last] = panels(group, static_cast<std::int64_t>(all.size()));
    return {all[first].first_query, all[last - 1].first_query + all[last - 1].n_queries};
  }
};

}  // namespace paradox
