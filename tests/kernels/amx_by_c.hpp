// Included before `kernels_amx.cpp`, gives it AMX made of plain C++: eight registers of 16 rows of
// 64 bytes for each thread, all of them whole.
#pragma once

#include <immintrin.h>  // first, so that its own names are not taken for ours

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace amx_by_c {

struct Registers {
  bool are_configured = false;
  std::uint8_t bytes[8][16][64] = {};
};
inline thread_local Registers registers;

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "AMX: %s\n", what);
  std::abort();
}

inline void load_config(const void* config) {
  const auto* bytes = static_cast<const std::uint8_t*>(config);
  expect(bytes[0] == 1 && bytes[1] == 0, "expected palette 1 and row 0");
  for (int tile = 0; tile < 8; ++tile) {
    const bool is_whole = bytes[16 + 2 * tile] == 64 && bytes[17 + 2 * tile] == 0;
    expect(is_whole && bytes[48 + tile] == 16, "expected eight registers of 16 rows of 64 bytes");
  }
  registers = {};
  registers.are_configured = true;
}

inline auto& tile(int i) {
  expect(registers.are_configured, "expected the registers to be configured");
  return registers.bytes[i];
}

inline void release() { registers.are_configured = false; }

inline void load(int i, const void* base, std::int64_t stride) {
  for (int row = 0; row < 16; ++row) {
    std::memcpy(tile(i)[row], static_cast<const char*>(base) + row * stride, 64);
  }
}

inline void store(int i, void* base, std::int64_t stride) {
  for (int row = 0; row < 16; ++row) {
    std::memcpy(static_cast<char*>(base) + row * stride, tile(i)[row], 64);
  }
}

/// sums (16, 16) int32 += a (16, 64) uint8 times b (16, 16, 4) int8.
inline void multiply(int sums, int a, int b) {
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 16; ++column) {
      std::uint32_t sum;
      std::memcpy(&sum, tile(sums)[row] + 4 * column, sizeof sum);
      for (int j = 0; j < 64; ++j) {
        const auto factor = static_cast<std::int8_t>(tile(b)[j / 4][4 * column + j % 4]);
        sum += static_cast<std::uint32_t>(tile(a)[row][j] * factor);
      }
      std::memcpy(tile(sums)[row] + 4 * column, &sum, sizeof sum);
    }
  }
}

}  // namespace amx_by_c

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbusd
#define _tile_loadconfig amx_by_c::load_config
#define _tile_release amx_by_c::release
#define _tile_zero(i) std::memset(amx_by_c::tile(i), 0, sizeof(amx_by_c::tile(i)))
#define _tile_loadd amx_by_c::load
#define _tile_stored amx_by_c::store
#define _tile_dpbusd amx_by_c::multiply
