// AVX-512 (F and BW).
#if defined(__x86_64__) || defined(_M_X64)

#include "paradox/graph/graph_avx512.hpp"
#include "paradox/graph/int16_tiles.hpp"

namespace paradox {
namespace {

struct Products : PairProducts {
  static std::int32_t dot_i8i8(const std::int8_t* a, const std::int8_t* b, int dim) {
    __m512i even = _mm512_setzero_si512(), odd = even;
    int j = 0;
    for (; j + 64 <= dim; j += 64) {
      even = add_pairs(even, widen(a + j), widen(b + j));
      odd = add_pairs(odd, widen(a + j + 32), widen(b + j + 32));
    }
    if (j < dim) even = add_pairs(even, widen(a + j), widen(b + j));
    return sum_of(_mm512_add_epi32(even, odd));
  }
  static constexpr auto dots_1xn = dots_one_by_one<dot_i8i8>;

  static constexpr Int8Tiles tiles() { return int16_tiles<dots_4xn_avx512<PairProducts>>(); }
};

}  // namespace

extern const GraphKernels graph_kernels_avx512;
const GraphKernels graph_kernels_avx512 = avx512_kernels<Products>("avx512");

}  // namespace paradox

#endif
