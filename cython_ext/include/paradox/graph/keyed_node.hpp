// A node and its key in one word.
#pragma once

#include <cstdint>
#include <cstring>

namespace paradox {

/// Ordered as the keys are, then the nodes: the key's bits so that integers compare like floats.
class KeyedNode {
 public:
  static std::uint64_t of(float key, std::uint32_t node) {
    std::uint32_t bits;
    std::memcpy(&bits, &key, sizeof bits);
    bits ^= (bits & kSign) != 0 ? 0xffffffffu : kSign;
    return std::uint64_t{bits} << 32 | node;
  }
  static float key(std::uint64_t keyed) {
    auto bits = static_cast<std::uint32_t>(keyed >> 32);
    bits ^= (bits & kSign) != 0 ? kSign : 0xffffffffu;
    float key;
    std::memcpy(&key, &bits, sizeof key);
    return key;
  }
  static std::uint32_t node(std::uint64_t keyed) { return static_cast<std::uint32_t>(keyed); }

 private:
  static constexpr std::uint32_t kSign = 0x80000000u;
};

}  // namespace paradox
