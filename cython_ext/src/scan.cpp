#include "paradox/scan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/candidates.hpp"
#include "paradox/query_batch.hpp"
#include "paradox/row_block.hpp"
#include "paradox/scan_plan.hpp"
#include "paradox/thread_pool.hpp"

namespace paradox {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Memory of one thread, grown to what a block needs and kept.
struct Scratch {
  AlignedVector<std::int64_t> positions;
  AlignedVector<const void*> rows;
  AlignedVector<double> sums, squares;
  AlignedVector<float> distances, float_values, float_terms;
  AlignedVector<std::int16_t> int_values;
  AlignedVector<std::int32_t> int_sums;
  AlignedVector<double> double_terms;
  AlignedVector<std::uint64_t> hits;

  static Scratch& of_this_thread() {
    thread_local Scratch scratch;
    return scratch;
  }
};

/// Does the sum of squares of a float32 row lose nothing to over- or underflow?
bool in_range(double squares) { return squares >= 0x1p-100 && squares <= 0x1p120; }

/// Copies a row, scaled by the power of two that brings its greatest value to 1: the same
/// direction.
void rescale(const float* row, std::int64_t dim, float* out) {
  float greatest = 0.0f;
  for (std::int64_t j = 0; j < dim; ++j) greatest = std::max(greatest, std::fabs(read(row + j)));
  const int exponent = std::isfinite(greatest) && greatest > 0.0f ? -std::ilogb(greatest) : 0;
  for (std::int64_t j = 0; j < dim; ++j) out[j] = std::ldexp(read(row + j), exponent);
}

/// The distance from what `OneToMany` returns; NaN becomes +inf.
float settle(double sum, double squares, double query_term, Metric metric) {
  double distance = sum;
  if (metric == Metric::ip) distance = -sum;
  if (metric == Metric::cosine) distance = 1.0 - sum * (query_term * inverse_norm(squares));
  if (!(distance < kInfinity)) return kInfinity;
  return static_cast<float>(metric == Metric::ip ? distance : std::max(distance, 0.0));
}

template <class Arithmetic>
class Scan {
 public:
  Scan(const KernelTable& kernels, const Matrix& queries, const Matrix& rows, Metric metric)
      : kernels_(kernels), rows_(rows), metric_(metric), batch_(queries, metric) {}

  void distances(float* out) const {
    Scratch& scratch = Scratch::of_this_thread();
    RowBlock block(scratch.positions, scratch.rows, narrow_block());
    for (std::int64_t begin = 0; begin < rows_.n;) {
      const std::int64_t end = block.fill(rows_, nullptr, begin, rows_.n);
      one_to_many(0, block, scratch, out + begin);
      begin = end;
    }
  }

  void top_k(std::int64_t k, const std::uint8_t* allow, int threads, std::int64_t* positions,
             float* distances) {
    const std::int64_t k_held = std::min(k, rows_.n);
    if (k_held > 0 && batch_.n() >= kTileQueries) panels_ = batch_.panels(kernels_);
    const ScanPlan plan(batch_.n(), kGroupQueries, static_cast<std::int64_t>(panels_.size()),
                        rows_.n, k_held, threads);
    std::vector<Candidate> found(batch_.n() * plan.n_slices * k_held);
    ThreadPool::instance().run(plan.n_groups * plan.n_slices, threads, [&](std::int64_t task) {
      scan(plan, task / plan.n_slices, task % plan.n_slices, k_held, allow, found.data());
    });
    ThreadPool::instance().run(plan.n_groups, threads, [&](std::int64_t group) {
      const auto [first, last] = plan.queries(group, batch_.n(), panels_);
      for (std::int64_t i = first; i < last; ++i) {
        Candidate* begin = found.data() + i * plan.n_slices * k_held;
        Candidate* end = begin + plan.n_slices * k_held;
        if (plan.n_slices > 1) std::nth_element(begin, begin + (k_held - 1), end);
        std::sort(begin, begin + k_held);
        for (std::int64_t j = 0; j < k; ++j) {
          const Candidate candidate = j < k_held ? begin[j] : Candidate{};
          const bool none = candidate.position == Candidate{}.position;
          positions[i * k + j] = none ? -1 : candidate.position;
          distances[i * k + j] = candidate.distance;
        }
      }
    });
  }

 private:
  using Batch = QueryBatch<Arithmetic>;
  using Panel = typename Batch::Panel;
  using Value = typename Arithmetic::Value;
  using Term = typename Arithmetic::Term;

  std::int64_t narrow_block() const {
    return std::clamp<std::int64_t>(kBlockBytes / rows_.row_bytes(), 4, 1024);
  }

  std::int64_t wide_block() const {
    const std::int64_t bytes = batch_.n_cells() * Arithmetic::kCellValues * sizeof(Value);
    const std::int64_t tiles = std::clamp<std::int64_t>(kBlockBytes / (bytes * kernels_.tile_rows),
                                                        1, 256 / kernels_.tile_rows);
    return tiles * kernels_.tile_rows;
  }

  /// One task: a group of queries over a slice of the rows. Its candidates go to their place in
  /// `found` (n_queries, n_slices, k).
  void scan(const ScanPlan& plan, std::int64_t group, std::int64_t slice, std::int64_t k,
            const std::uint8_t* allow, Candidate* found) const {
    const auto [first, last] = plan.queries(group, batch_.n(), panels_);
    const auto [begin_row, end_row] = ScanPlan::share(rows_.n, slice, plan.n_slices);
    const std::int64_t n_queries = last - first;
    std::vector<Candidate> storage(n_queries * CandidatePool::capacity(k));
    AlignedVector<float> thresholds(n_queries + kMaxPanelQueries, -kInfinity);  // padding: none
    std::vector<CandidatePool> pools;
    pools.reserve(n_queries);
    for (std::int64_t i = 0; i < n_queries; ++i) {
      pools.emplace_back(storage.data() + i * CandidatePool::capacity(k), k, &thresholds[i]);
    }
    Scratch& scratch = Scratch::of_this_thread();
    RowBlock block(scratch.positions, scratch.rows,
                   panels_.empty() ? narrow_block() : wide_block());
    for (std::int64_t begin = begin_row; begin < end_row;) {
      begin = block.fill(rows_, allow, begin, end_row);
      if (block.n == 0) continue;
      if (panels_.empty()) {
        scan_block(first, last, block, scratch, pools.data(), thresholds.data());
      } else {
        tile_block(first, last, block, scratch, pools.data(), thresholds.data());
      }
    }
    for (std::int64_t i = 0; i < n_queries; ++i) {
      const std::int64_t n = pools[i].cut();
      std::copy_n(storage.data() + i * CandidatePool::capacity(k), n,
                  found + ((first + i) * plan.n_slices + slice) * k);
    }
  }

  /// Each query of a group to a block, on its own.
  void scan_block(std::int64_t first, std::int64_t last, const RowBlock& block, Scratch& scratch,
                  CandidatePool* pools, const float* thresholds) const {
    float* distances = at_least(scratch.distances, block.n);
    for (std::int64_t i = first; i < last; ++i) {
      one_to_many(i, block, scratch, distances);
      for (std::int64_t r = 0; r < block.n; ++r) {
        if (!(distances[r] >= thresholds[i - first])) {
          pools[i - first].offer(distances[r], block.positions[r]);
        }
      }
    }
  }

  void one_to_many(std::int64_t i, const RowBlock& block, Scratch& scratch, float* out) const {
    const OneToMany kernel = Arithmetic::one_to_many(kernels_, metric_, rows_.dtype);
    double* sums = at_least(scratch.sums, block.n);
    double* squares = at_least(scratch.squares, block.n);
    kernel(batch_.query(i), block.rows, block.n, rows_.dim, sums, squares);
    for (std::int64_t r = 0; r < block.n; ++r) {
      if (must_rescale(squares[r])) {
        const void* scaled = rescaled(block.rows[r], scratch);
        kernel(batch_.query(i), &scaled, 1, rows_.dim, &sums[r], &squares[r]);
      }
      out[r] = settle(sums[r], squares[r], batch_.term(i), metric_);
    }
  }

  bool must_rescale(double squares) const {
    return metric_ == Metric::cosine && rows_.dtype == DType::f32 && !in_range(squares);
  }

  const void* rescaled(const void* row, Scratch& scratch) const {
    float* out = at_least(scratch.float_values, rows_.dim);
    rescale(static_cast<const float*>(row), rows_.dim, out);
    return out;
  }

  /// All panels of a group to a block.
  void tile_block(std::int64_t first, std::int64_t last, RowBlock& block, Scratch& scratch,
                  CandidatePool* pools, const float* thresholds) const {
    Tile<Value, typename Arithmetic::Sum, Term> job;
    const std::int64_t n_rows =
        (block.n + kernels_.tile_rows - 1) / kernels_.tile_rows * kernels_.tile_rows;
    job.n_rows = n_rows;
    job.n_cells = batch_.n_cells();
    job.metric = metric_;
    job.distances = at_least(scratch.distances, n_rows * kMaxPanelQueries);
    job.hits = at_least(scratch.hits, n_rows);
    prepare_rows(block, n_rows, scratch, job);
    const auto from = std::lower_bound(
        panels_.begin(), panels_.end(), first,
        [](const Panel& panel, std::int64_t query) { return panel.first_query < query; });
    for (auto panel = from; panel != panels_.end() && panel->first_query < last; ++panel) {
      const std::int64_t offset = panel->first_query - first;
      job.panel = panel->cells.data();
      job.vectors = panel->vectors;
      job.query_terms = panel->terms.data();
      job.thresholds = thresholds + offset;
      Arithmetic::tile(kernels_, job);
      for (std::int64_t r = 0; r < block.n; ++r) {
        for (std::uint64_t hits = job.hits[r]; hits != 0; hits &= hits - 1) {
          const int j = __builtin_ctzll(hits);
          pools[offset + j].offer(job.distances[r * panel->width + j], block.positions[r]);
        }
      }
    }
  }

  static double squares_of(OneToMany dot, const void* row, std::int64_t dim) {
    double squares;
    dot(row, &row, 1, dim, &squares, nullptr);
    return squares;
  }

  /// float32 rows are used where they lie, unless they must be rescaled; others are widened.
  void prepare_rows(RowBlock& block, std::int64_t n_rows, Scratch& scratch, FloatTile& job) const {
    const std::int64_t dim = rows_.dim;
    const bool in_place = rows_.dtype == DType::f32;
    float* values = at_least(scratch.float_values, n_rows * dim);
    float* terms = at_least(scratch.float_terms, n_rows);
    for (std::int64_t r = 0; r < block.n; ++r) {
      float* wide = values + r * dim;
      if (rows_.dtype == DType::f16) {
        kernels_.widen_f16(static_cast<const Half*>(block.rows[r]), dim, wide);
      } else if (rows_.dtype == DType::i8) {
        kernels_.widen_i8(static_cast<const std::int8_t*>(block.rows[r]), dim, wide);
      }
      if (!in_place) block.rows[r] = wide;
      if (metric_ == Metric::ip) continue;
      const OneToMany dot = kernels_.dot[static_cast<int>(DType::f32)];
      double squares = squares_of(dot, block.rows[r], dim);
      if (must_rescale(squares)) {
        rescale(static_cast<const float*>(block.rows[r]), dim, wide);
        block.rows[r] = wide;
        squares = squares_of(dot, wide, dim);
      }
      terms[r] = static_cast<float>(metric_ == Metric::l2 ? squares : inverse_norm(squares));
    }
    finish(block, n_rows, terms, job);
    job.sums = job.distances;
  }

  void prepare_rows(RowBlock& block, std::int64_t n_rows, Scratch& scratch, IntTile& job) const {
    const std::int64_t stride = batch_.n_cells() * IntArithmetic::kCellValues;
    std::int16_t* values = at_least(scratch.int_values, n_rows * stride);
    double* terms = at_least(scratch.double_terms, n_rows);
    for (std::int64_t r = 0; r < block.n; ++r) {
      const auto* row = static_cast<const std::int8_t*>(block.rows[r]);
      const double squares = squares_of(kernels_.dot_i8i8, row, rows_.dim);
      terms[r] = metric_ == Metric::l2 ? squares : inverse_norm(squares);
      std::int16_t* wide = values + r * stride;
      for (std::int64_t j = 0; j < rows_.dim; ++j) wide[j] = row[j];
      if (rows_.dim < stride) wide[rows_.dim] = 0;
      block.rows[r] = wide;
    }
    finish(block, n_rows, terms, job);
    job.sums = at_least(scratch.int_sums, n_rows * kMaxPanelQueries);
  }

  /// Pads the block to whole tiles by its last row, whose hits are then ignored.
  template <class Job>
  static void finish(RowBlock& block, std::int64_t n_rows, Term* terms, Job& job) {
    std::fill(block.rows + block.n, block.rows + n_rows, block.rows[block.n - 1]);
    std::fill(terms + block.n, terms + n_rows, terms[block.n - 1]);
    job.rows = block.rows;
    job.row_terms = terms;
  }

  const KernelTable& kernels_;
  const Matrix& rows_;
  const Metric metric_;
  const Batch batch_;
  std::vector<Panel> panels_;
};

}  // namespace

void distances(const KernelTable& kernels, const Matrix& query, const Matrix& rows, Metric metric,
               float* out) {
  if (query.dtype == DType::i8) {
    Scan<IntArithmetic>(kernels, query, rows, metric).distances(out);
  } else {
    Scan<FloatArithmetic>(kernels, query, rows, metric).distances(out);
  }
}

void top_k(const KernelTable& kernels, const Matrix& queries, const Matrix& rows, Metric metric,
           std::int64_t k, const std::uint8_t* allow, int threads, std::int64_t* positions,
           float* distances) {
  if (queries.dtype == DType::i8) {
    Scan<IntArithmetic>(kernels, queries, rows, metric)
        .top_k(k, allow, threads, positions, distances);
  } else {
    Scan<FloatArithmetic>(kernels, queries, rows, metric)
        .top_k(k, allow, threads, positions, distances);
  }
}

}  // namespace paradox
