// AVX-512 (F and BW) with VNNI, which multiplies and sums in 32 bits at once.
#if defined(__x86_64__) || defined(_M_X64)

#include "paradox/graph/graph_avx512.hpp"

namespace paradox {
namespace {

constexpr int kTileRows = 8, kTileColumns = 48;
constexpr int kGroupBytes = kTileColumns * 4;  // four dimensions of a panel

/// Sums for 48 columns of a panel, and what is added to them.
struct ThreeVectors {
  __m512i a, b, c;

  static ThreeVectors load(const std::uint8_t* p) {
    return {load_512(p), load_512(p + 64), load_512(p + 128)};
  }
  void add(__m512i row, const ThreeVectors& columns) {
    a = _mm512_dpbusd_epi32(a, row, columns.a);
    b = _mm512_dpbusd_epi32(b, row, columns.b);
    c = _mm512_dpbusd_epi32(c, row, columns.c);
#ifdef __AVX512VNNI__  // without this GCC 12 copies all sums at every step
    asm("" : "+v"(a), "+v"(b), "+v"(c));
#endif
  }
  void store(std::int32_t* out, std::int64_t n) const {
    _mm512_mask_storeu_epi32(out, first_lanes(n), a);
    _mm512_mask_storeu_epi32(out + 16, first_lanes(n - 16), b);
    _mm512_mask_storeu_epi32(out + 32, first_lanes(n - 32), c);
  }
};

/// The same for the first 16.
struct OneVector {
  __m512i a;

  static OneVector load(const std::uint8_t* p) { return {load_512(p)}; }
  void add(__m512i row, const OneVector& columns) { a = _mm512_dpbusd_epi32(a, row, columns.a); }
  void store(std::int32_t* out, std::int64_t n) const {
    _mm512_mask_storeu_epi32(out, first_lanes(n), a);
  }
};

__m512i four_of(const std::uint8_t* row) {
  std::int32_t four;
  std::memcpy(&four, row, sizeof four);
  return _mm512_set1_epi32(four);
}

/// A function of its own, as `store_sums` is.
template <class Vectors>
__attribute__((noinline)) void store_tile(const Vectors (&rows)[kTileRows], std::int64_t n,
                                          std::int32_t* out, std::int64_t stride) {
  for (int r = 0; r < kTileRows; ++r) rows[r].store(out + r * stride, n);
}

template <class Vectors>
void dots_of_tile(const std::uint8_t* rows, const std::uint8_t* panel, std::int64_t n,
                  std::int64_t dim, std::int32_t* out, std::int64_t stride) {
  Vectors s0 = Vectors::load(panel), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  const std::uint8_t* lower = rows + 4 * dim;
  for (std::int64_t j = 0; j < dim; j += 4) {
    panel += kGroupBytes;
    const Vectors columns = Vectors::load(panel);
    s0.add(four_of(rows + j), columns);
    s1.add(four_of(rows + dim + j), columns);
    s2.add(four_of(rows + 2 * dim + j), columns);
    s3.add(four_of(rows + 3 * dim + j), columns);
    s4.add(four_of(lower + j), columns);
    s5.add(four_of(lower + dim + j), columns);
    s6.add(four_of(lower + 2 * dim + j), columns);
    s7.add(four_of(lower + 3 * dim + j), columns);
  }
  store_tile({s0, s1, s2, s3, s4, s5, s6, s7}, n, out, stride);
}

void dots_avx512vnni(const std::uint8_t* rows, const std::uint8_t* panel, std::int64_t n, int dim,
                     std::int32_t* out, std::int64_t stride) {
  const auto dots = n > 16 ? dots_of_tile<ThreeVectors> : dots_of_tile<OneVector>;
  dots(rows, panel, n, dim, out, stride);
}

/// As unsigned bytes, 128 more than they are.
void lay_row(const std::int8_t* vector, int dim, std::uint8_t* row) {
  for (int j = 0; j < dim; ++j) row[j] = static_cast<std::uint8_t>(vector[j] + 128);
}

/// A panel is (dim / 4, 48, 4) values, which a row's are multiplied by as they lie, and before them
/// (48,) sums of nothing yet: what the 128 in each of a row's values will add, below 0.
void lay_column(const std::int8_t* vector, int dim, int column, std::uint8_t* panel) {
  std::int32_t sum = 0;
  for (int j = 0; j < dim; ++j) sum += vector[j];
  const std::int32_t first = -128 * sum;
  std::uint8_t* place = panel + 4 * column;
  std::memcpy(place, &first, sizeof first);
  for (int j = 0; j < dim; j += 4) std::memcpy(place += kGroupBytes, vector + j, 4);
}

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
    if (j < dim) add(_mm512_maskz_loadu_epi8(kHalf, a + j), _mm512_maskz_loadu_epi8(kHalf, b + j));
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

  static constexpr Int8Tiles tiles() {
    return {kTileRows, kTileColumns, 1, sizeof(std::int32_t), lay_row, lay_column, dots_avx512vnni};
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
