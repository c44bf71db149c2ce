#include "paradox/ivf/kmeans.hpp"

#include <numeric>

#include "paradox/graph/random.hpp"
#include "paradox/thread_pool.hpp"

namespace paradox {
namespace {

constexpr std::int64_t kPointsATask = 1024;

}  // namespace

std::vector<Nearest> nearest_centres(const IvfLevel& level, const Points& points,
                                     const std::vector<std::uint32_t>& some, const Points& centres,
                                     int threads) {
  std::vector<Nearest> nearest(some.size());
  const auto n = static_cast<std::int64_t>(some.size());
  ThreadPool::instance().run(
      (n + kPointsATask - 1) / kPointsATask, threads, [&](std::int64_t task) {
        const auto begin = some.begin() + task * kPointsATask;
        const std::vector<std::uint32_t> part(
            begin, begin + std::min(kPointsATask, n - task * kPointsATask));
        for_each_point_of(level, points, part, centres,
                          [&](std::size_t at, const float* distances, std::size_t least) {
                            nearest[static_cast<std::size_t>(task * kPointsATask) + at] = {
                                distances[least], static_cast<std::uint32_t>(least)};
                          });
      });
  return nearest;
}

void move_to_means(const IvfLevel& level, const Points& points,
                   const std::vector<std::uint32_t>& some, std::vector<Nearest>& nearest,
                   Points& centres, int threads) {
  const auto n = static_cast<std::size_t>(centres.size());
  std::vector<std::size_t> ends(n + 1), members(some.size());
  for (const Nearest& its : nearest) ++ends[its.centre + 1];
  for (std::size_t c = 0; c < n; ++c) {
    if (ends[c + 1] > 0) continue;  // without members: takes the farthest point of another
    const auto farthest = std::max_element(
        nearest.begin(), nearest.end(),
        [&](const Nearest& a, const Nearest& b) { return a.distance < b.distance; });
    if (farthest->distance == 0.0f || ends[farthest->centre + 1] < 2) continue;
    --ends[farthest->centre + 1];
    ++ends[c + 1];
    *farthest = {0.0f, static_cast<std::uint32_t>(c)};
  }
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  std::vector<std::size_t> next(ends.begin(), ends.end() - 1);
  for (std::size_t i = 0; i < some.size(); ++i) members[next[nearest[i].centre]++] = i;
  ThreadPool::instance().run(centres.size(), threads, [&](std::int64_t c) {
    const auto at = static_cast<std::size_t>(c);
    const std::size_t count = ends[at + 1] - ends[at];
    if (count == 0) return;
    std::vector<double> sums(static_cast<std::size_t>(points.dim));
    for (std::size_t i = ends[at]; i < ends[at + 1]; ++i) {
      points.add_to(level, some[members[i]], sums.data());
    }
    std::vector<float> mean(sums.size());
    for (std::size_t j = 0; j < sums.size(); ++j) {
      mean[j] = static_cast<float>(sums[j] / static_cast<double>(count));
    }
    centres.set(level, c, mean.data());
  });
}

Points kmeans(const IvfLevel& level, const Points& points, const std::vector<std::uint32_t>& some,
              std::int64_t n, int rounds, std::uint64_t seed, int threads) {
  Random random(seed);
  const std::vector<std::uint32_t> first =
      sample(static_cast<std::uint32_t>(some.size()), static_cast<std::uint32_t>(n), random);
  Points centres(points.dim);
  centres.resize(static_cast<std::int64_t>(first.size()));
  for (std::size_t c = 0; c < first.size(); ++c) {
    centres.copy(static_cast<std::int64_t>(c), points, some[first[c]]);
  }
  for (int round = 0; round < rounds && centres.size() > 0; ++round) {
    std::vector<Nearest> nearest = nearest_centres(level, points, some, centres, threads);
    move_to_means(level, points, some, nearest, centres, threads);
  }
  return centres;
}

}  // namespace paradox
