// Random numbers that are the same on every platform, which the standard's distributions are not.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace paradox {

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// Below n, which is below 2^32: the bias of the remainder is below 2^-32.
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(next() % n); }

 private:
  std::uint64_t state_;
};

/// m different numbers below n, in random order; all of them where m is n or more.
inline std::vector<std::uint32_t> sample(std::uint32_t n, std::uint32_t m, Random& random) {
  std::vector<std::uint32_t> numbers(n);
  for (std::uint32_t i = 0; i < n; ++i) numbers[i] = i;
  if (m > n) m = n;
  for (std::uint32_t i = 0; i < m; ++i) std::swap(numbers[i], numbers[i + random.below(n - i)]);
  numbers.resize(m);
  return numbers;
}

}  // namespace paradox
