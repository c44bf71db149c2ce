// Lloyd's algorithm over int16 points; the centres do not depend on the threads.
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/ivf/points.hpp"

namespace paradox {

/// The nearest centre of each of some points.
std::vector<Nearest> nearest_centres(const IvfLevel& level, const Points& points,
                                     const std::vector<std::uint32_t>& some, const Points& centres,
                                     int threads);

/// Moves each centre to the mean of the points that are nearest to it; one without any is moved to
/// the point farthest from its own.
void move_to_means(const IvfLevel& level, const Points& points,
                   const std::vector<std::uint32_t>& some, std::vector<Nearest>& nearest,
                   Points& centres, int threads);

/// Up to n centres of some points: fewer where there are fewer points.
Points kmeans(const IvfLevel& level, const Points& points, const std::vector<std::uint32_t>& some,
              std::int64_t n, int rounds, std::uint64_t seed, int threads);

}  // namespace paradox
