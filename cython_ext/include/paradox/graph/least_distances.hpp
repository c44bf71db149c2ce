// The least of many distances, which the levels share, compiled once for each.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

namespace paradox {
namespace {

/// Lanes that distances are dealt to in turn. The m-th least of the lanes' minima bounds the m-th
/// least of all, and closely: 22 of 500 distances are up to the bound of the 16th. With a list kept
/// of the nearest so far, some 70 enter it, and each costs a branch that is guessed wrong.
constexpr int kLanes = 32;

/// The m-th least of the minima, or 0 where it is less. Ranks are counted, so that no branch
/// depends on what is compared. From 0 on, the bits of floats are in their order, and below they
/// are below 0.
inline float bound_of(const float* minima, int m) {
  std::int32_t keys[kLanes], n_less[kLanes] = {}, bound = 0;
  std::memcpy(keys, minima, sizeof keys);
  for (int j = 0; j < kLanes; ++j) {
    for (int i = 0; i < kLanes; ++i) n_less[i] += keys[j] < keys[i] ? 1 : 0;
  }
  for (int i = 0; i < kLanes; ++i) bound = std::max(bound, n_less[i] < m ? keys[i] : 0);
  float result;
  std::memcpy(&result, &bound, sizeof result);
  return result;
}

inline std::int64_t least_of(const float* distances, std::int64_t n, int m,
                             std::uint32_t* positions) {
  float minima[kLanes];
  std::fill_n(minima, kLanes, std::numeric_limits<float>::infinity());
  const auto take = [&](std::int64_t j, int lane) {
    minima[lane] = distances[j + lane] < minima[lane] ? distances[j + lane] : minima[lane];
  };
  const std::int64_t n_whole = n / kLanes * kLanes;
  for (std::int64_t j = 0; j < n_whole; j += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) take(j, lane);
  }
  for (int lane = 0; lane < n - n_whole; ++lane) take(n_whole, lane);
  const float bound = bound_of(minima, m);
  std::int64_t n_found = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    positions[n_found] = static_cast<std::uint32_t>(j);
    n_found += distances[j] <= bound ? 1 : 0;
  }
  return n_found;
}

}  // namespace
}  // namespace paradox
