// Runs the graph's kernels of a level beside the scalar ones, and tells which differ in a bit: so a
// level can be tried where only an emulator or a sanitizer can run it (`test_emulated_indexes.py`).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "comparison.hpp"
#include "paradox/aligned.hpp"
#include "paradox/graph/graph_kernels.hpp"

namespace paradox {
extern const GraphKernels graph_kernels_scalar;
#ifdef PARADOX_TABLES  // the only other tables that are linked in, as a comma-separated list
extern const GraphKernels PARADOX_TABLES;
#endif
}  // namespace paradox

namespace {

using paradox::EdgeOffset;
using paradox::EdgeScan;
using paradox::EdgeSlope;
using paradox::graph_kernels_scalar;
using paradox::GraphKernels;
using paradox::Half;
using paradox::kEdgeBlock;
using paradox::RowScan;

class GraphComparison : public Comparison<GraphKernels> {
 public:
  using Comparison::Comparison;

  void floats(int dim, const Kind& kind) {
    begin(dim, kind);
    const Values<float> a(dim, [&] { return draw(); }), b(dim, [&] { return draw(); });
    const auto extremes = graph_kernels_scalar.extremes(a.data(), dim);
    int span = 32;
    while (2 * span <= dim) span *= 2;

    check<float>("hadamard", span, [&](const GraphKernels& kernels, float* out) {
      std::copy_n(a.data(), span, out);
      kernels.hadamard(out, span);
    });
    check<float>("extremes", 2, [&](const GraphKernels& kernels, float* out) {
      const auto found = kernels.extremes(a.data(), dim);
      out[0] = found.value;
      out[1] = found.sum_of_four;
    });
    const float to_step = quotient(8191.0f, extremes.value);
    for (const float scale : {to_step, to_step * (5.0f / 8191.0f)}) {
      check<std::int16_t>("to_int16", dim, [&](const GraphKernels& kernels, std::int16_t* out) {
        kernels.to_int16(a.data(), dim, scale, out);
      });
    }
    const float widest = extremes.sum_of_four;
    const float to_entry = quotient(greatest_entry(), 2.0f * widest);
    check<std::uint8_t>("sign_table", 4 * dim, [&](const GraphKernels& kernels, auto* out) {
      kernels.sign_table(a.data(), dim, to_entry, widest * to_entry + 0.5f, out);
    });
    for (const int n : {dim, dim - 1, dim - 5, 3, 1}) {  // the last n values
      check<double>("squared_distance, dot_product", 2, [&](const auto& kernels, double* out) {
        out[0] = kernels.squared_distance(a.data() + dim - n, b.data() + dim - n, n);
        out[1] = kernels.dot_product(a.data() + dim - n, b.data() + dim - n, n);
      });
    }
  }

  /// Whole numbers up to `greatest`, those of queries up to `greatest_step`.
  void integers(int dim, const Kind& kind, int greatest) {
    begin(dim, kind);
    const auto byte = [&] { return static_cast<std::int8_t>(whole(-greatest - 1, greatest)); };
    const int step = std::min(8191, 2147483000 / (128 * dim));
    const Values<std::int8_t> a(dim, byte), b(dim, byte);
    const Values<std::int16_t> query(dim, [&] { return whole(-step, step); });
    check<std::int32_t>("dot_i16i8", 1, [&](const GraphKernels& kernels, std::int32_t* out) {
      *out = kernels.dot_i16i8(query.data(), a.data(), dim);
    });
    check<std::int32_t>("dot_i8i8", 1, [&](const GraphKernels& kernels, std::int32_t* out) {
      *out = kernels.dot_i8i8(a.data(), b.data(), dim);
    });
    const Values<std::int8_t> nine(9 * dim, byte);
    for (const int n : {1, 4, 9}) {
      std::vector<const std::int8_t*> others;
      for (int i = n; i-- > 0;) others.push_back(nine.data() + std::int64_t{i} * dim);
      check<std::int32_t>("dots_1xn", n + 1, [&](const auto& kernels, std::int32_t* out) {
        kernels.dots_1xn(a.data(), others.data(), n, dim, out);
      });
    }
    for (const int n : {1, 2, 3, 4, 7, 48}) {
      const auto wide = [&] { return std::int16_t{byte()}; };
      const Values<std::int16_t> rows(4 * dim, wide), others(std::int64_t{n} * dim, wide);
      const int stride = n + 3;
      check<std::int32_t>("dots_4xn", 4 * stride, [&](const auto& kernels, std::int32_t* out) {
        kernels.dots_4xn(rows.data(), others.data(), n, dim, out, stride);
      });
    }
    for (const int n : {1, 15, 16, 17, 32, 33, 47, 48}) tiles(n, byte);
    const float scale = std::max(kind.size, 1e-44f) / 127.0f;
    const paradox::Int8Vector node{a.data(), scale}, other{b.data(), scale * 0.75f};
    for (const auto& second : {other, paradox::Int8Vector{a.data(), scale}}) {
      check<std::uint8_t>("residual", dim / 8 + 8, [&](const auto& kernels, std::uint8_t* out) {
        const Values<std::uint8_t> signs(dim / 8);
        paradox::Residual residual{const_cast<std::uint8_t*>(signs.data()), 0.0f, 0.0f};
        kernels.residual(node, second, dim, &residual);
        std::memcpy(out, &residual.absolute, 4);
        std::memcpy(out + 4, &residual.node_by_sign, 4);
        std::copy_n(signs.data(), dim / 8, out + 8);
      });
    }
  }

  void distances(int n, const Kind& kind) {
    begin(n, kind);
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    Values<float> distances(n, [&] { return draw() + 0.5f * kind.size; });
    for (const float odd : {draw(), kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      for (int i = 0; i < n; i += 3) distances.begin()[i] = odd;
      for (const int m : {1, 4, 16, 32}) least(distances, n, m);
    }
  }

  void edges(int dim, const Kind& kind) {
    begin(dim, kind);
    const int top = static_cast<int>(greatest_entry());
    const auto byte = [&] { return static_cast<std::uint8_t>(random_.next() >> 56); };
    const auto entry = [&] { return static_cast<std::uint8_t>(top - (random_.next() >> 62)); };
    const auto half = [&] {  // any but infinities and NaN
      const auto bits = static_cast<std::uint16_t>(random_.next() >> 48);
      return Half{static_cast<std::uint16_t>((bits & 0x7c00) == 0x7c00 ? bits ^ 0x4000 : bits)};
    };
    const auto offset = [&] { return EdgeOffset{static_cast<std::int8_t>(whole(-127, 127))}; };
    const auto slope = [&] { return EdgeSlope{byte()}; };
    const Values<std::uint8_t> codes(4 * dim, byte), entries(4 * dim, entry);
    const paradox::SignTable table{entries.data(), draw(), draw()};
    const Values<Half> offsets(kEdgeBlock, half), slopes(kEdgeBlock, half);
    RowScan rows{codes.data(), offsets.data(), slopes.data(), draw(), draw(), draw(), 0.0f};
    scan("score_rows", &GraphKernels::score_rows, &rows, table, dim);
    const Values<EdgeOffset> offset_roots(kEdgeBlock, offset);
    const Values<EdgeSlope> slope_roots(kEdgeBlock, slope);
    EdgeScan edges{codes.data(), offset_roots.data(), slope_roots.data(), draw(), draw(), draw(),
                   0.0f};
    scan("score_edges", &GraphKernels::score_edges, &edges, table, dim);
  }

  /// n keys, and +inf up to whole lanes.
  void keys(int n, const Kind& kind) {
    begin(n, kind);
    constexpr int kLanes = paradox::kKeyLanes;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    Values<float> keys((n + kLanes - 1) / kLanes * kLanes);
    for (const float expanded : {draw(), kInfinity}) {
      std::generate_n(keys.begin(), n, [&] { return draw(); });
      std::fill(keys.begin() + n, keys.end(), kInfinity);
      for (int i = 0; i < n; i += 3) keys.begin()[i] = expanded;
      check<float>("least_key", 3, [&](const GraphKernels& kernels, float* out) {
        const paradox::LeastKey least = kernels.least_key(keys.data(), n);
        out[0] = least.key + 0.0f;  // of two zeros any
        out[1] = least.bound + 0.0f;
        out[2] = static_cast<float>(least.at);
      });
      const paradox::LeastKey least = kernels_.least_key(keys.data(), n);
      const float* first = std::min_element(keys.data(), keys.data() + n);
      const auto n_bound = std::count_if(keys.data(), keys.data() + keys.bytes() / 4,
                                         [&](float key) { return key <= least.bound; });
      expect("least_key beside a search", least.at == first - keys.data() && n_bound >= kLanes);
    }
  }

 private:
  /// Eight rows, whole tiles of every level, by n columns.
  template <class Byte>
  void tiles(int n, const Byte& byte) {
    constexpr int kRows = 8;
    const int dim = dim_, stride = n + 3;
    const Values<std::int8_t> rows(kRows * dim, byte), columns(std::int64_t{n} * dim, byte);
    check<std::int32_t>("tiles", kRows * stride, [&](const auto& kernels, std::int32_t* out) {
      const paradox::Int8Tiles& level = kernels.tiles;
      const std::int64_t row_bytes = level.row_bytes(dim);
      paradox::AlignedVector<std::uint8_t> laid(static_cast<std::size_t>(kRows * row_bytes));
      const auto panel_bytes = static_cast<std::size_t>(level.panel_bytes(dim));
      paradox::AlignedVector<std::uint8_t> panel(panel_bytes, 7);  // columns from n on are not 0
      for (int i = 0; i < kRows; ++i) {
        level.lay_row(rows.data() + i * dim, dim, laid.data() + i * row_bytes);
      }
      for (int j = 0; j < n; ++j) {
        level.lay_column(columns.data() + std::int64_t{j} * dim, dim, j, panel.data());
      }
      for (int i = 0; i < kRows; i += level.n_rows) {
        level.dots(laid.data() + i * row_bytes, panel.data(), n, dim, out + i * stride, stride);
      }
    });
  }

  /// The scalar kernel is held to a sort as well.
  void least(const Values<float>& distances, int n, int m) {
    check<std::uint32_t>("least", n + 1, [&](const GraphKernels& kernels, std::uint32_t* out) {
      *out = static_cast<std::uint32_t>(kernels.least(distances.data(), n, m, out + 1));
      std::fill(out + 1 + *out, out + 1 + n, 0);  // what is there is left open
    });
    Values<std::uint32_t> positions(n);
    const auto n_found = kernels_.least(distances.data(), n, m, positions.begin());
    std::vector<float> found;
    for (int i = 0; i < n_found; ++i) found.push_back(distances.data()[positions.data()[i]]);
    std::vector<float> all(distances.data(), distances.data() + n);
    expect("least beside a sort", least_of(found, m) == least_of(all, m));
  }

  static std::vector<float> least_of(std::vector<float> values, int m) {
    const auto is_nan = [](float value) { return std::isnan(value); };
    values.erase(std::remove_if(values.begin(), values.end(), is_nan), values.end());
    for (float& value : values) value = std::max(value, 0.0f);
    std::sort(values.begin(), values.end());
    values.resize(std::min<std::size_t>(values.size(), m));
    return values;
  }

  template <class Scan, class Score>
  void scan(const char* operation, Score GraphKernels::* score, Scan* of,
            const paradox::SignTable& table, int dim) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    float keys[kEdgeBlock];
    of->threshold = kInfinity;
    (graph_kernels_scalar.*score)(*of, table, dim, keys);
    for (const float threshold : {kInfinity, keys[7], keys[30], -kInfinity}) {
      of->threshold = threshold;
      check<float>(operation, kEdgeBlock + 1, [&](const GraphKernels& kernels, float* out) {
        const std::uint32_t below = (kernels.*score)(*of, table, dim, out);
        std::memcpy(out + kEdgeBlock, &below, sizeof below);
      });
    }
  }

  float greatest_entry() const { return static_cast<float>(std::min(63, 65535 / (dim_ / 4))); }
};

/// A level of the machine, or, so that one can be emulated or tried alone, of those linked in.
const GraphKernels* kernels_of(const char* isa) {
#ifdef PARADOX_TABLES
  using namespace paradox;
  static const GraphKernels tables[] = {PARADOX_TABLES};
  for (const GraphKernels& table : tables) {
    if (std::strcmp(table.isa, isa) == 0) return &table;
  }
  return nullptr;
#else
  return paradox::find_graph_kernels(isa);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  const GraphKernels* kernels = argc == 2 ? kernels_of(argv[1]) : nullptr;
  if (kernels == nullptr) {
    std::fprintf(stderr, "drive_graph: expected a level this machine has\n");
    return 2;
  }
  GraphComparison comparison(graph_kernels_scalar, *kernels);
  for (const int dim : {32, 64, 96, 128, 160, 384, 992, 1024, 3072, 4224, 8448}) {
    for (const Kind& kind : kKinds) {
      comparison.floats(dim, kind);
      for (const int greatest : {127, 1}) comparison.integers(dim, kind, greatest);
      for (int i = 0; i < 3; ++i) comparison.edges(dim, kind);
    }
  }
  for (const int n : {1, 15, 16, 17, 31, 32, 33, 47, 64, 500}) {
    for (const Kind& kind : kKinds) comparison.distances(n, kind);
  }
  for (const int n : {1, 15, 16, 17, 33, 64, 65, 80, 250, 512}) {
    for (const Kind& kind : kKinds) comparison.keys(n, kind);
  }
  return comparison.end(argv[1]);
}
