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

  /// Four at a time: what is 128 times too much is the same for all.
  static void dots_1xn(const std::int8_t* one, const std::int8_t* const* others, int n, int dim,
                       std::int32_t* out) {
    const __m512i middle = _mm512_set1_epi8(-128);
    __m512i excess = _mm512_setzero_si512();
    int j = 0;
    for (; j + 64 <= dim; j += 64) excess = _mm512_dpbusd_epi32(excess, middle, load_512(one + j));
    if (j < dim)
      excess = _mm512_dpbusd_epi32(excess, middle, _mm512_maskz_loadu_epi8(kHalf, one + j));
    const __m128i too_much = _mm_set1_epi32(sum_of(excess));
    int i = 0;
    for (; i + 4 <= n; i += 4) dots_1x4(one, others + i, dim, too_much, out + i);
    for (; i < n; ++i) out[i] = dot_i8i8(one, others[i], dim);
  }

 private:
  static constexpr __mmask64 kHalf = 0xffffffff;

  static void dots_1x4(const std::int8_t* one, const std::int8_t* const* others, int dim,
                       __m128i too_much, std::int32_t* out) {
    const std::int8_t *a = others[0], *b = others[1], *c = others[2], *d = others[3];
    const __m512i middle = _mm512_set1_epi8(-128);
    __m512i first = _mm512_setzero_si512(), second = first, third = first, fourth = first;
    const auto add = [&](__m512i its, const auto& load) {
      first = _mm512_dpbusd_epi32(first, _mm512_xor_si512(load(a), middle), its);
      second = _mm512_dpbusd_epi32(second, _mm512_xor_si512(load(b), middle), its);
      third = _mm512_dpbusd_epi32(third, _mm512_xor_si512(load(c), middle), its);
      fourth = _mm512_dpbusd_epi32(fourth, _mm512_xor_si512(load(d), middle), its);
    };
    int j = 0;
    for (; j + 64 <= dim; j += 64) {
      add(load_512(one + j), [j](const std::int8_t* other) { return load_512(other + j); });
    }
    if (j < dim) {
      const auto half = [j](const std::int8_t* other) {
        return _mm512_maskz_loadu_epi8(kHalf, other + j);
      };
      add(half(one), half);
    }
    store_less(first, second, third, fourth, too_much, out);
  }

  /// A function of its own, as `store_sums` is.
  __attribute__((noinline)) static void store_less(__m512i a, __m512i b, __m512i c, __m512i d,
                                                   __m128i less, std::int32_t* out) {
    const __m128i sums = FourVectors{a, b, c, d}.sums();
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_sub_epi32(sums, less));
  }
};

}  // namespace

extern const GraphKernels graph_kernels_avx512vnni;
const GraphKernels graph_kernels_avx512vnni = avx512_kernels<VnniProducts>("avx512vnni");

}  // namespace paradox

#endif
