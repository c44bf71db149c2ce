// Memory asked for ahead of its use.
#pragma once

#include <cstdint>

namespace paradox {

/// A core waits for some twenty cache lines at a time; asked for more, it waits until there is
/// room.
constexpr std::int64_t kPrefetchedBytes = 18 * 64;

inline void prefetch(const void* begin, std::int64_t n_bytes) {
  asm volatile("");  // GCC leaves out calls of functions that only ask for memory, as if pure
  const auto* at = static_cast<const std::uint8_t*>(begin);
  for (const std::uint8_t* end = at + n_bytes; at < end; at += 64) __builtin_prefetch(at, 0, 3);
}

}  // namespace paradox
