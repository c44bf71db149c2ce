#include "paradox/certified.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/coded_queries.hpp"
#include "paradox/row_block.hpp"
#include "paradox/scan.hpp"
#include "paradox/scan_plan.hpp"
#include "paradox/survivors.hpp"
#include "paradox/thread_pool.hpp"

namespace paradox {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Rows that a block holds at most.
constexpr std::int64_t kBlockRows = 1024;

/// Slices of so many blocks are worth a sample of a block.
constexpr std::int64_t kSampledBlocks = 16;

/// Codes of the queries of a group, and the most queries: each group reads all rows once.
constexpr std::int64_t kGroupBytes = 128 * 1024, kMostGroupQueries = 1024;

/// Survivors measured at a time, once there are k.
constexpr std::int64_t kMeasuredAtOnce = 16;

/// Memory of one thread, grown to what a block needs and kept.
struct Scratch {
  AlignedVector<std::int64_t> positions;
  AlignedVector<const void*> rows;
  AlignedVector<std::uint8_t> codes;
  AlignedVector<float> terms, lowers;
  AlignedVector<std::uint64_t> hits;

  static Scratch& of_this_thread() {
    thread_local Scratch scratch;
    return scratch;
  }
};

/// Codes to measure by: rows a block at a time, queries one by one or by panels.
class CodeBlocks {
 public:
  using Panel = CodedQueries::Panel;

  CodeBlocks(const KernelTable& kernels, const Matrix& queries, const Codes& codes, Metric metric)
      : kernels_(kernels),
        codes_(codes),
        is_tiled_(queries.n >= kTileQueries),
        queries_(queries, metric, (codes.width + kCodeStep - 1) / kCodeStep * kCodeStep,
                 kernels.query_limit),
        panels_(is_tiled_ ? queries_.panels(kernels) : std::vector<Panel>{}) {}

  const CodedQueries& queries() const { return queries_; }
  const std::vector<Panel>& panels() const { return panels_; }

  std::int64_t rows_of_block() const {
    const std::int64_t fitting =
        std::clamp<std::int64_t>(kBlockBytes / queries_.width(), 1, is_tiled_ ? 256 : kBlockRows);
    return padded(fitting);
  }

  std::int64_t queries_of_group() const {
    return std::clamp(kGroupBytes / queries_.width(), kGroupQueries, kMostGroupQueries);
  }

  /// A number of rows as the tile takes them.
  std::int64_t padded(std::int64_t n) const {
    return (n + kernels_.code_rows - 1) / kernels_.code_rows * kernels_.code_rows;
  }

  /// Makes the rows of a block what the kernels read, and returns their terms.
  RowTerms prepare(RowBlock& block, Scratch& scratch) const {
    const std::int64_t n = is_tiled_ ? padded(block.n) : block.n;
    if (codes_.is_signed) make_unsigned(block, scratch);
    std::fill(block.rows + block.n, block.rows + n, block.rows[block.n - 1]);
    const RowTerms& all = codes_.terms;
    if (block.is_whole() && block.n == n) return all.from(block.positions[0]);
    float* terms = at_least(scratch.terms, 4 * n);
    const float* from[] = {all.scale, all.residual, all.norm, all.square};
    for (int term = 0; term < 4; ++term) {
      for (std::int64_t r = 0; r < n; ++r) {
        terms[term * n + r] = from[term][block.positions[std::min(r, block.n - 1)]];
      }
    }
    return {terms, terms + n, terms + 2 * n, terms + 3 * n};
  }

  /// Calls found(query, row of the block, lower bound) for every lower bound of a group of queries
  /// that is below the query's threshold: thresholds are of the group, and some of padding.
  template <class Found>
  void scan(std::int64_t group, const ScanPlan& plan, const float* thresholds,
            const RowBlock& block, const RowTerms& terms, Scratch& scratch,
            const Found& found) const {
    const auto [first, last] = plan.queries(group, queries_.n(), panels_);
    for (std::int64_t i = first; panels_.empty() && i < last; ++i) {
      bound_one(i, thresholds[i - first], block, terms, scratch, found);
    }
    const auto [from, to] = plan.panels(group, static_cast<std::int64_t>(panels_.size()));
    for (std::int64_t p = from; p < to; ++p) {
      const float* own = thresholds + panels_[p].first_query - first;
      bound_panel(panels_[p], own, block, terms, scratch, found);
    }
  }

 private:
  template <class Found>
  void bound_one(std::int64_t query, float threshold, const RowBlock& block, const RowTerms& terms,
                 Scratch& scratch, const Found& found) const {
    CodeScan job{block.rows,
                 block.n,
                 queries_.width(),
                 queries_.codes(query),
                 terms,
                 queries_.terms(query),
                 threshold,
                 at_least(scratch.lowers, block.n),
                 at_least(scratch.hits, (block.n + 63) / 64)};
    kernels_.bound_rows(job);
    for (std::int64_t word = 0; word * 64 < block.n; ++word) {
      for (std::uint64_t hits = job.hits[word]; hits != 0; hits &= hits - 1) {
        const std::int64_t r = word * 64 + __builtin_ctzll(hits);
        found(query, r, job.lowers[r]);
      }
    }
  }

  template <class Found>
  void bound_panel(const Panel& panel, const float* thresholds, const RowBlock& block,
                   const RowTerms& terms, Scratch& scratch, const Found& found) const {
    const std::int64_t n = padded(block.n);
    CodeTile job{block.rows,
                 n,
                 queries_.width(),
                 panel.cells.data(),
                 panel.vectors,
                 terms,
                 panel.terms(),
                 thresholds,
                 at_least(scratch.lowers, n * panel.width),
                 at_least(scratch.hits, n)};
    kernels_.bound_tile(job);
    const std::uint64_t wanted = ~std::uint64_t{0} >> (64 - panel.n_queries);
    for (std::int64_t r = 0; r < block.n; ++r) {
      const std::uint64_t* of_row = job.hits + r;
      if (r + 4 <= block.n && (of_row[0] | of_row[1] | of_row[2] | of_row[3]) == 0) {
        r += 3;  // most rows have none: looking at each took 5 % of a batch
        continue;
      }
      for (std::uint64_t hits = *of_row & wanted; hits != 0; hits &= hits - 1) {
        const int j = __builtin_ctzll(hits);
        found(panel.first_query + j, r, job.lowers[r * panel.width + j]);
      }
    }
  }

  /// Copies signed codes as unsigned ones, padded.
  void make_unsigned(RowBlock& block, Scratch& scratch) const {
    const std::int64_t width = queries_.width();
    std::uint8_t* copies = at_least(scratch.codes, block.n * width);
    for (std::int64_t r = 0; r < block.n; ++r) {
      const auto* row = static_cast<const std::uint8_t*>(block.rows[r]);
      std::uint8_t* copy = copies + r * width;
      for (std::int64_t j = 0; j < codes_.width; ++j) copy[j] = row[j] ^ kCodeZero;
      block.rows[r] = copy;
    }
  }

  const KernelTable& kernels_;
  const Codes& codes_;
  const bool is_tiled_;
  const CodedQueries queries_;
  const std::vector<Panel> panels_;
};

/// No less than the upper bound that belongs to a lower one.
float upper_bound(float lower, const RowTerms& row, std::int64_t r, const QueryTerms& query,
                  double doubt) {
  const double width = -2.0 * (static_cast<double>(*query.length) * row.residual[r] +
                               static_cast<double>(*query.rest) * row.norm[r]);
  const double upper = lower + width + 32 * kUnit * row.square[r] + doubt + 0x1p-118;
  return upper < std::numeric_limits<float>::max() ? round_up(upper) : kInfinity;
}

class CertifiedScan {
 public:
  CertifiedScan(const KernelTable& kernels, const Matrix& queries, const CodedRows& rows,
                Metric metric, std::int64_t k, int threads)
      : queries_(queries),
        rows_(rows),
        metric_(metric),
        k_(std::min(k, rows.rows->n)),
        blocks_(kernels, queries, *rows.codes, metric),
        plan_(queries.n, blocks_.queries_of_group(),
              static_cast<std::int64_t>(blocks_.panels().size()), rows.rows->n, k_, threads) {}

  void run(std::int64_t k, int threads, std::int64_t* positions, double* distances,
           std::uint8_t* certified) const {
    std::vector<std::vector<Survivors>> found(plan_.n_groups * plan_.n_slices);
    const auto answer = [&](std::int64_t group) {
      const auto [first, last] = plan_.queries(group, queries_.n, blocks_.panels());
      auto* const slices = &found[group * plan_.n_slices];
      for (std::int64_t i = first; i < last; ++i) {
        std::vector<const Survivors*> parts;
        for (std::int64_t slice = 0; slice < plan_.n_slices; ++slice) {
          parts.push_back(&slices[slice][i - first]);
        }
        const auto gave_up = [](const Survivors* part) { return part->gave_up(); };
        certified[i] = std::none_of(parts.begin(), parts.end(), gave_up);
        if (certified[i]) decide(i, joined(parts), k, positions + i * k, distances + i * k);
      }
      std::fill_n(slices, plan_.n_slices, std::vector<Survivors>{});
    };
    ThreadPool& pool = ThreadPool::instance();
    pool.run(plan_.n_groups * plan_.n_slices, threads, [&](std::int64_t task) {
      found[task] = scan(task / plan_.n_slices, task % plan_.n_slices);
      if (plan_.n_slices == 1) answer(task);
    });
    if (plan_.n_slices > 1) pool.run(plan_.n_groups, threads, answer);
  }

 private:
  struct Measured {
    double distance;
    std::int64_t id, position;

    bool operator<(const Measured& other) const {
      return distance < other.distance || (distance == other.distance && id < other.id);
    }
  };

  /// More survivors than this cost more to measure than a float32 scan.
  std::int64_t greatest_survivors() const {
    return 4 * k_ + std::max<std::int64_t>(1024, rows_.rows->n / 128);
  }

  /// One task: the survivors of a group of queries in a slice of the rows.
  std::vector<Survivors> scan(std::int64_t group, std::int64_t slice) const {
    const auto [first, last] = plan_.queries(group, queries_.n, blocks_.panels());
    const auto [begin_row, end_row] = ScanPlan::share(rows_.rows->n, slice, plan_.n_slices);
    const std::int64_t base = first;
    AlignedVector<float> thresholds(last - first + kMaxPanelQueries, -kInfinity);
    std::vector<Survivors> survivors;
    survivors.reserve(last - first);
    std::int64_t n_going_on = 0;
    for (std::int64_t i = first; i < last; ++i) {
      survivors.emplace_back(k_, greatest_survivors(), &thresholds[i - first]);
      if (blocks_.queries().bounded(i)) {
        ++n_going_on;
      } else {
        survivors.back().give_up();
      }
    }
    Scratch& scratch = Scratch::of_this_thread();
    RowBlock block(scratch.positions, scratch.rows, blocks_.rows_of_block());
    const CodedQueries& queries = blocks_.queries();
    const auto look_at_block = [&] {
      const RowTerms terms = blocks_.prepare(block, scratch);
      const auto offer = [&](std::int64_t i, std::int64_t r, float lower) {
        Survivors& mine = survivors[i - base];
        if (mine.gave_up() || !mine.admits(lower)) return;
        const float upper = upper_bound(lower, terms, r, queries.terms(i), queries.doubt(i));
        mine.offer(lower, upper, block.positions[r]);
        if (mine.gave_up()) --n_going_on;
      };
      blocks_.scan(group, plan_, thresholds.data(), block, terms, scratch, offer);
    };
    if (end_row - begin_row >= kSampledBlocks * blocks_.rows_of_block()) {
      block.sample(*rows_.codes, rows_.allow, begin_row, end_row);
      if (block.n > 0) look_at_block();
      for (Survivors& mine : survivors) mine.begin_anew();
    }
    for (std::int64_t begin = begin_row; begin < end_row && n_going_on > 0;) {
      begin = block.fill(*rows_.codes, rows_.allow, begin, end_row);
      if (block.n > 0) look_at_block();
    }
    return survivors;
  }

  /// The survivors of all slices, nearest lower bound first.
  std::vector<Survivor> joined(const std::vector<const Survivors*>& parts) const {
    std::vector<float> uppers;
    std::vector<Survivor> rows;
    for (const Survivors* part : parts) {
      uppers.insert(uppers.end(), part->uppers().begin(), part->uppers().end());
      rows.insert(rows.end(), part->rows().begin(), part->rows().end());
    }
    if (static_cast<std::int64_t>(uppers.size()) >= k_ && k_ > 0) {
      std::nth_element(uppers.begin(), uppers.begin() + (k_ - 1), uppers.end());
      Survivors::drop(rows, uppers[k_ - 1]);
    }
    for (const Survivors* part : parts) Survivors::drop(rows, part->greatest_upper());
    std::sort(rows.begin(), rows.end(), [](const Survivor& a, const Survivor& b) {
      return a.lower < b.lower || (a.lower == b.lower && a.position < b.position);
    });
    return rows;
  }

  /// Measures survivors in float64 until the rest is farther than the k-th; writes the answer.
  void decide(std::int64_t i, const std::vector<Survivor>& survivors, std::int64_t k,
              std::int64_t* positions, double* distances) const {
    const Matrix query{queries_.row(i), 1, queries_.dim, queries_.stride_bytes, queries_.dtype};
    const double constant = blocks_.queries().constant(i);
    std::vector<Measured> nearest;  // a heap of k_, the farthest first
    std::vector<std::int64_t> at;
    std::vector<double> measured;
    const auto n = static_cast<std::int64_t>(survivors.size());
    for (std::int64_t begin = 0; begin < n;) {
      const bool is_full = static_cast<std::int64_t>(nearest.size()) == k_;
      if (is_full && survivors[begin].lower + constant > nearest.front().distance) break;
      const std::int64_t end = std::min(n, begin + (is_full ? kMeasuredAtOnce : k_));
      at.clear();
      for (std::int64_t j = begin; j < end; ++j) at.push_back(survivors[j].position);
      measured.resize(at.size());
      refine(query, *rows_.rows, at.data(), end - begin, metric_, measured.data());
      for (std::size_t j = 0; j < at.size(); ++j) {
        const Measured row{measured[j], rows_.ids[at[j]], at[j]};
        if (static_cast<std::int64_t>(nearest.size()) < k_) {
          nearest.push_back(row);
          std::push_heap(nearest.begin(), nearest.end());
        } else if (row < nearest.front()) {
          std::pop_heap(nearest.begin(), nearest.end());
          nearest.back() = row;
          std::push_heap(nearest.begin(), nearest.end());
        }
      }
      begin = end;
    }
    std::sort_heap(nearest.begin(), nearest.end());
    for (std::int64_t j = 0; j < k; ++j) {
      const bool is_row = j < static_cast<std::int64_t>(nearest.size());
      positions[j] = is_row ? nearest[j].position : -1;
      distances[j] = is_row ? nearest[j].distance : std::numeric_limits<double>::infinity();
    }
  }

  const Matrix& queries_;
  const CodedRows& rows_;
  const Metric metric_;
  const std::int64_t k_;
  const CodeBlocks blocks_;
  const ScanPlan plan_;
};

}  // namespace

void certified_top_k(const KernelTable& kernels, const Matrix& queries, const CodedRows& rows,
                     Metric metric, std::int64_t k, int threads, std::int64_t* positions,
                     double* distances, std::uint8_t* certified) {
  CertifiedScan(kernels, queries, rows, metric, k, threads)
      .run(k, threads, positions, distances, certified);
}

void lower_bounds(const KernelTable& kernels, const Matrix& queries, const Codes& codes,
                  Metric metric, double* out) {
  std::fill_n(out, queries.n * codes.n, -static_cast<double>(kInfinity));
  const CodeBlocks blocks(kernels, queries, codes, metric);
  const ScanPlan plan(1, kGroupQueries, 1, codes.n, 1, 1);
  Scratch& scratch = Scratch::of_this_thread();
  RowBlock block(scratch.positions, scratch.rows, blocks.rows_of_block());
  const AlignedVector<float> everything(queries.n + kMaxPanelQueries, kInfinity);
  for (std::int64_t begin = 0; begin < codes.n;) {
    begin = block.fill(codes, nullptr, begin, codes.n);
    const RowTerms terms = blocks.prepare(block, scratch);
    blocks.scan(0, plan, everything.data(), block, terms, scratch,
                [&](std::int64_t i, std::int64_t r, float lower) {
                  if (!blocks.queries().bounded(i) || std::isnan(lower)) return;
                  out[i * codes.n + block.positions[r]] = lower + blocks.queries().constant(i);
                });
  }
}

}  // namespace paradox
