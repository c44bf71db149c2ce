// AVX-512 (F and BW) with VNNI, which multiplies bytes and sums them in 32 bits at once. Shared by
// the level of that name and the one with AMX.
//
// Unnamed namespace on purpose, as in `one_to_many.hpp`.
#pragma once

#include "paradox/avx512.hpp"

namespace {

struct Avx512Vnni : Avx512 {
  static constexpr int kByteCells = 1;
  static constexpr int kQueryLimit = 127;

  static Int dot_bytes(const Int (&codes)[1], const Int (&queries)[1], Int sum) {
    return _mm512_dpbusd_epi32(sum, codes[0], queries[0]);
  }
};

}  // namespace
