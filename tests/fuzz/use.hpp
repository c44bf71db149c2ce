// How an index that was accepted is used: what it is given, what it is asked, and in which order.
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/graph/random.hpp"

namespace fuzz {

using paradox::Random;

/// Of the row of a number.
constexpr std::int64_t kFirstId = 1'000'000;

/// Vectors (n, dim) of small multiples, so that some are equal.
inline std::vector<float> vectors(std::int64_t n, int dim, Random& random) {
  std::vector<float> values(static_cast<std::size_t>(n * dim));
  for (float& value : values) value = static_cast<float>(random.below(2001)) / 500.0f - 2.0f;
  return values;
}

/// Which rows a search may find: one of two searches has a filter.
struct Filter {
  std::vector<std::uint8_t> allowed;
  bool is_given;

  Filter(std::size_t n_rows, Random& random) : allowed(n_rows, 1), is_given(random.below(2) == 0) {
    if (!is_given) return;
    const std::uint32_t of_every = 1 + random.below(20);
    for (std::uint8_t& may : allowed) may = random.below(of_every) == 0 ? 1 : 0;
  }
};

/// Searches, and again after each of a few changes.
template <class Use>
void search_and_change(Use& use, Random& random) {
  use.search();
  for (std::uint32_t step = random.below(5); step > 0; --step) {
    random.below(2) == 0 ? use.add() : use.remove();
    use.search();
  }
}

}  // namespace fuzz
