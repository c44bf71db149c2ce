// Runs the lists' kernels of a level beside the scalar ones, and tells which differ in a bit, as
// `drive_graph.cpp` does for the graph (`test_emulated_indexes.py`).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>

#include "comparison.hpp"
#include "paradox/ivf/ivf_kernels.hpp"

namespace paradox {
extern const IvfKernels ivf_kernels_scalar;
#ifdef PARADOX_TABLES  // the only other tables that are linked in, as a comma-separated list
extern const IvfKernels PARADOX_TABLES;
#endif
}  // namespace paradox

namespace {

using paradox::ivf_kernels_scalar;
using paradox::IvfKernels;

constexpr std::int32_t kLeast32 = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kMost32 = std::numeric_limits<std::int32_t>::max();

class IvfComparison : public Comparison<IvfKernels> {
 public:
  using Comparison::Comparison;

  void products(int dim) {
    begin(dim, kKinds[0]);
    const int step = std::min(4095, static_cast<int>(std::sqrt(2147483000.0 / dim)));
    for (const int n : {1, 2, 3, 4, 5, 7, 8, 13, 33}) {
      for (const int greatest : {step, 1}) {
        const auto draw = [&] { return static_cast<std::int16_t>(whole(-greatest, greatest)); };
        dots(n, Values<std::int16_t>(dim, draw), Values<std::int16_t>(std::int64_t{n} * dim, draw));
      }
      const auto extreme = [&] { return static_cast<std::int16_t>(whole(0, 1) ? step : -step); };
      const auto most = [&] { return static_cast<std::int16_t>(step); };
      dots(n, Values<std::int16_t>(dim, most), Values<std::int16_t>(std::int64_t{n} * dim, most));
      dots(n, Values<std::int16_t>(dim, most),
           Values<std::int16_t>(std::int64_t{n} * dim, extreme));

      // Two values of a row are the extremes of int16, side by side and apart, the others 0.
      const auto greatest = [] { return std::int16_t{32767}; };
      Values<std::int16_t> rare(std::int64_t{n} * dim);
      for (int i = 0; i < n; ++i) {
        const int first = whole(0, dim - 1), second = i % 2 == 0 ? first ^ 1 : whole(0, dim - 1);
        for (const int j : {first, second}) {
          rare.begin()[i * dim + j] = static_cast<std::int16_t>(whole(0, 1) ? 32767 : -32768);
        }
      }
      dots(n, Values<std::int16_t>(dim, greatest), rare);
    }
  }

  /// To n rows; the number stands in the place of the dimensions.
  void distances(int n, const Kind& kind) {
    begin(n, kind);
    const auto next = [&] { return draw(); };
    const auto some = [&] { return whole(-1, 1); };
    const auto any = [&] { return static_cast<std::int32_t>(random_.next() >> 32); };
    const auto extreme = [&] { return whole(0, 1) ? kLeast32 : kMost32; };
    // Negative squares, which no row has, make distances that are raised to 0.
    const Values<float> scales(n, next), squares(n, next);
    const paradox::PointNorms others{scales.data(), squares.data(), n};
    for (const auto& dots : {Values<std::int32_t>(n, some), Values<std::int32_t>(n, any),
                             Values<std::int32_t>(n, extreme)}) {
      measure({draw(), draw()}, others, dots);
      measure({draw(), std::fabs(draw())}, others, dots);
      measure({3e-11f, std::fabs(draw())}, others, dots);  // of tiny ones, denormal products
    }
    // Equal ones, of which one or two are less than the others.
    const Values<std::int32_t> none(n);
    for (int least = 0; least < n; ++least) {
      Values<float> most(n, [&] { return kind.size; });
      most.begin()[least] *= 0.5f;
      most.begin()[whole(least, n - 1)] = most.begin()[least];
      measure({1.0f, kind.size}, {scales.data(), most.data(), n}, none);
    }
    const Values<float> infinite(n, [] { return std::numeric_limits<float>::infinity(); });
    measure({1.0f, 0.0f}, {scales.data(), infinite.data(), n}, none);
  }

  void sums(int dim, const Kind& kind) {
    begin(dim, kind);
    const auto word = [&] { return static_cast<std::int16_t>(random_.next() >> 48); };
    const auto extreme = [&] { return static_cast<std::int16_t>(whole(0, 1) ? 32767 : -32768); };
    const Values<double> before(dim, [&] { return double{draw()} * 4095.0; });
    for (const auto& row : {Values<std::int16_t>(dim, word), Values<std::int16_t>(dim, extreme)}) {
      for (const double scale : {double{draw()}, draw() / 3.0, 0.0, -0.0, 5e-324}) {
        check<double>("add_scaled", dim, [&](const IvfKernels& kernels, double* out) {
          std::copy_n(before.data(), dim, out);
          for (int i = 0; i < 3; ++i) kernels.add_scaled(row.data(), scale, dim, out);
        });
      }
    }
  }

  void residuals(int dim, const Kind& kind) {
    begin(dim, kind);
    const auto step = [&] { return static_cast<std::int16_t>(whole(-4095, 4095)); };
    const auto few = [&] { return static_cast<std::int16_t>(whole(-2, 2)); };
    const auto extreme = [&] { return static_cast<std::int16_t>(whole(0, 1) ? 32767 : -32768); };
    const Values<float> vector(dim, [&] { return draw(); });
    for (const auto& centre :
         {Values<std::int16_t>(dim, step), Values<std::int16_t>(dim, few),
          Values<std::int16_t>(dim, extreme), Values<std::int16_t>(dim, [] { return 0; })}) {
      for (const float scale : {kind.size / 4095.0f, kind.size * 0.5f, 0.0f, -0.0f}) {
        residual(vector, centre, scale);
        Values<float> same(dim);  // as the centre: the residual is 0, of either sign
        for (int j = 0; j < dim; ++j) same.begin()[j] = scale * centre.data()[j];
        residual(same, centre, scale);
      }
    }
    float greatest = 0.0f;
    for (int j = 0; j < dim; ++j) greatest = std::max(greatest, std::fabs(vector.data()[j]));
    const Values<float> halves(dim, [&] { return 0.5f * static_cast<float>(whole(-255, 254)); });
    const Values<float> ends(dim, [&] { return whole(0, 1) ? 127.0f : -128.0f; });
    to_int8(vector, quotient(127.0f, greatest));
    to_int8(vector, quotient(1.0f, greatest));
    for (const auto& values : {halves, ends}) {
      for (const float scale : {1.0f, -0.5f, 0.0f}) to_int8(values, scale);
    }
  }

 private:
  void dots(int n, const Values<std::int16_t>& row, const Values<std::int16_t>& others) {
    check<std::int32_t>("dots_1xn", n, [&](const IvfKernels& kernels, std::int32_t* out) {
      kernels.dots_1xn(row.data(), others.data(), n, dim_, out);
    });
  }

  void measure(const paradox::PointNorm& row, const paradox::PointNorms& others,
               const Values<std::int32_t>& dots) {
    check<float>("distances", others.n + 1, [&](const IvfKernels& kernels, float* out) {
      const auto least = static_cast<std::int32_t>(
          kernels.distances(row, others, dots.data(), out + 1));  // ends with the memory
      std::memcpy(out, &least, sizeof least);
    });
  }

  void residual(const Values<float>& vector, const Values<std::int16_t>& centre, float scale) {
    const std::int64_t n_sums = sizeof(paradox::ResidualSums), n_values = 4 * dim_;
    check<std::uint8_t>(
        "residual", n_sums + n_values + dim_ / 8, [&](const auto& kernels, auto* out) {
          Values<float> values(dim_);
          Values<std::uint8_t> signs(dim_ / 8);
          const paradox::ResidualSums sums = kernels.residual(vector.data(), centre.data(), scale,
                                                              dim_, values.begin(), signs.begin());
          std::memcpy(out, &sums, sizeof sums);
          std::memcpy(out + n_sums, values.begin(), values.bytes());
          std::memcpy(out + n_sums + n_values, signs.begin(), signs.bytes());
        });
  }

  void to_int8(const Values<float>& values, float scale) {
    check<std::int8_t>("to_int8", dim_, [&](const IvfKernels& kernels, std::int8_t* out) {
      kernels.to_int8(values.data(), dim_, scale, out);
    });
  }
};

/// A level of the machine, or, so that one can be emulated or tried alone, of those linked in.
const IvfKernels* kernels_of(const char* isa) {
#ifdef PARADOX_TABLES
  using namespace paradox;
  static const IvfKernels tables[] = {PARADOX_TABLES};
  for (const IvfKernels& table : tables) {
    if (std::strcmp(table.isa, isa) == 0) return &table;
  }
  return nullptr;
#else
  return paradox::find_ivf_kernels(isa);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  const IvfKernels* kernels = argc == 2 ? kernels_of(argv[1]) : nullptr;
  if (kernels == nullptr) {
    std::fprintf(stderr, "drive_ivf: expected a level this machine has\n");
    return 2;
  }
  IvfComparison comparison(ivf_kernels_scalar, *kernels);
  for (const int dim : {32, 64, 96, 128, 160, 384, 992, 1024, 3072, 4224, 8448}) {
    comparison.products(dim);
    for (const Kind& kind : kKinds) {
      comparison.sums(dim, kind);
      comparison.residuals(dim, kind);
    }
  }
  for (const int n : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 77, 100}) {
    for (const Kind& kind : kKinds) comparison.distances(n, kind);
  }
  return comparison.end(argv[1]);
}
