// AVX-512 (F and BW) with VNNI, which multiplies and sums in 32 bits at once.
#if defined(__x86_64__) || defined(_M_X64)

#include "paradox/graph/graph_avx512.hpp"

namespace paradox {
namespace {

struct VnniProducts {
  static __m512i add_pairs(__m512i sum, __m512i a, __m512i b) {
    return _mm512_dpwssd_epi32(sum, a, b);
  }

  /// The instruction takes signed by unsigned bytes: the sum of a * b is that of (a + 128) * b
  /// less that of 128 * b, whatever the signs.
  static std::int32_t dot_i8i8(const std::int8_t* a, const std::int8_t* b, int dim) {
    const __m512i middle = _mm512_set1_epi8(-128);  // as an unsigned byte 128
    __m512i sum = _mm512_setzero_si512(), excess = sum;
    const auto add = [&](__m512i x, __m512i y) {
      sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(x, middle), y);
      excess = _mm512_dpbusd_epi32(excess, middle, y);
    };
    int j = 0;
    for (; j + 64 <= dim; j += 64) add(load_512(a + j), load_512(b + j));
    if (j < dim) {
      const __mmask64 half = 0xffffffff;
      add(_mm512_maskz_loadu_epi8(half, a + j), _mm512_maskz_loadu_epi8(half, b + j));
    }
    return sum_of(_mm512_sub_epi32(sum, excess));
  }
};

}  // namespace

extern const GraphKernels graph_kernels_avx512vnni;
const GraphKernels graph_kernels_avx512vnni = avx512_kernels<VnniProducts>("avx512vnni");

}  // namespace paradox

#endif
