#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "paradox/graph/sign_table.hpp"
#include "paradox/half.hpp"
#include "paradox/ivf/ivf.hpp"
#include "paradox/prefetch.hpp"
#include "paradox/thread_pool.hpp"

namespace paradox {
namespace {

/// Standard errors that an estimate is allowed: fewer miss more, more measure more.
constexpr float kCertainty = 2.0f;

/// Of a sum of signs, with the residual as random: (1 - 2 / pi) of |q - c|^2.
constexpr float kSignVariance = 0.3634f;

/// Rows measured together, so that their supplements are on the way from memory.
constexpr std::size_t kWaiting = 32;

/// Candidates beyond k that are measured truly: a quarter of k, and this many.
constexpr std::int64_t kMoreCandidates = 8;

/// Blocks that are fetched ahead of the one that is scanned.
constexpr std::int64_t kBlocksAhead = 2;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

void Ivf::prepare(const float* query, IvfScratch& scratch) const {
  const int dim = layout_.dim;
  scratch.norm = settings_.metric == Metric::l2
                     ? 0.0
                     : std::sqrt(level_.shared.dot_product(query, query, settings_.dim));
  rotate(query, true, scratch);
  const float* rotated = scratch.rotated.data();
  if (scratch.point.dim != dim) scratch.point = Points(dim);
  scratch.point.resize(1);
  scratch.point.set(level_, 0, rotated);
  const float widest = level_.shared.extremes(rotated, dim).sum_of_four;
  scratch.signs = sign_table_of(level_.shared, rotated, dim, widest, scratch.sign_entries);
  scratch.table_error =
      static_cast<float>(dim / 4) * scratch.signs.step * scratch.signs.step / 12.0f;
}

/// Measures what waits by the supplement.
void Ivf::measure_waiting(const Nearest& list, IvfScratch& scratch) const {
  auto& nearest = scratch.nearest;
  const InvertedList& its = lists_[list.centre];
  const float step = -2.0f * scratch.point.scales[0];
  for (IvfCandidate& candidate : scratch.waiting) {
    const bool is_full = nearest.size() == scratch.n_kept;
    if (is_full && candidate.distance > nearest.front().distance) continue;
    const Supplement kept = its.supplement(layout_, candidate.at);
    const std::int32_t dot =
        level_.shared.dot_i16i8(scratch.point.row(0), kept.residual(), layout_.dim);
    candidate.distance =
        list.distance + kept.term() + step * kept.scale() * static_cast<float>(dot);
    if (is_full) {
      if (!(candidate < nearest.front())) continue;
      std::pop_heap(nearest.begin(), nearest.end());
      nearest.back() = candidate;
    } else {
      nearest.push_back(candidate);
    }
    std::push_heap(nearest.begin(), nearest.end());
  }
  scratch.waiting.clear();
}

void Ivf::scan(const Nearest& list, const IvfRows& rows, IvfScratch& scratch) const {
  const InvertedList& its = lists_[list.centre];
  SignTable table = scratch.signs;
  table.base += kCertainty * std::sqrt(kSignVariance * list.distance + scratch.table_error);
  RowScan scan{};
  scan.offset_scale = scan.slope_scale = its.unit();
  scan.node_key = list.distance;
  alignas(32) float bounds[kEdgeBlock];
  const std::int64_t n_blocks = ListLayout::n_blocks(its.size());
  const std::int64_t n_bytes = n_blocks * layout_.block_bytes();
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    const std::uint8_t* block = its.block(layout_, b);
    const std::int64_t ahead = (b + kBlocksAhead) * layout_.block_bytes();
    if (ahead < n_bytes) prefetch(its.blocks() + ahead, layout_.block_bytes());
    scan.codes = block;
    scan.offsets = reinterpret_cast<const Half*>(block + layout_.offsets());
    scan.slopes = reinterpret_cast<const Half*>(block + layout_.slopes());
    scan.threshold =
        scratch.nearest.size() == scratch.n_kept ? scratch.nearest.front().distance : kInfinity;
    std::uint32_t below = level_.shared.score_rows(scan, table, layout_.dim, bounds);
    const auto* numbers = reinterpret_cast<const std::uint32_t*>(block + layout_.numbers());
    for (; below != 0; below &= below - 1) {
      const int i = __builtin_ctz(below);
      const std::uint32_t number = numbers[i];
      if (number == kNoRow) continue;
      if (rows.allowed != nullptr && rows.allowed[number] == 0) continue;
      const std::int64_t at = b * kEdgeBlock + i;
      prefetch(its.supplement(layout_, at).data, layout_.row_bytes());
      scratch.waiting.push_back({bounds[i], number, list.centre, static_cast<std::uint32_t>(at)});
    }
    if (scratch.waiting.size() >= kWaiting) measure_waiting(list, scratch);
  }
  measure_waiting(list, scratch);
}

/// As `refine` has it, whose bits it must have: answers are compared with those of a scan.
double Ivf::true_distance(const float* query, const IvfRows& rows, std::int64_t number,
                          IvfScratch& scratch) const {
  const std::int64_t dim = settings_.dim;
  const float* row = static_cast<const float*>(rows.vectors) + number * dim;
  if (rows.dtype == DType::f16) {
    const Half* halves = static_cast<const Half*>(rows.vectors) + number * dim;
    float* wide = at_least(scratch.residual, dim);
    to_floats(halves, dim, wide);
    row = wide;
  }
  const GraphKernels& kernels = level_.shared;
  if (settings_.metric == Metric::l2) return kernels.squared_distance(query, row, dim);
  const double dot = kernels.dot_product(query, row, dim);
  if (settings_.metric == Metric::ip) return -dot;
  const double norms = scratch.norm * std::sqrt(kernels.dot_product(row, row, dim));
  return norms == 0.0 ? 1.0 : std::max(1.0 - dot / norms, 0.0);
}

/// Of the vector as it is kept in the supplement, rotated and less the origin.
double Ivf::kept_distance(const float* query, const IvfCandidate& candidate,
                          IvfScratch& scratch) const {
  const GraphKernels& kernels = level_.shared;
  float* row = at_least(scratch.residual, layout_.dim);
  const std::uint32_t list = candidate.list;
  decode(lists_[list].supplement(layout_, candidate.at), coarse_.centre(list), row);
  const float* rotated = scratch.rotated.data();
  if (settings_.metric == Metric::ip) {
    return -(kernels.dot_product(rotated, row, layout_.dim) / scratch.scale +
             kernels.dot_product(query, origin_.data(), settings_.dim));
  }
  const double squared = kernels.squared_distance(rotated, row, layout_.dim);
  return settings_.metric == Metric::cosine ? squared / 2.0 : squared;
}

void Ivf::answer(const float* query, const IvfRows& rows, IvfScratch& scratch) const {
  auto& answers = scratch.answers;
  answers.clear();
  const std::int64_t bytes = settings_.dim * (rows.dtype == DType::f32 ? 4 : 2);
  for (const IvfCandidate& candidate : scratch.nearest) {
    answers.push_back({0.0, rows.ids[candidate.number], candidate.number});
    if (rows.vectors == nullptr) continue;
    prefetch(static_cast<const std::uint8_t*>(rows.vectors) + candidate.number * bytes, bytes);
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const IvfCandidate& candidate = scratch.nearest[i];
    answers[i].distance = rows.vectors == nullptr
                              ? kept_distance(query, candidate, scratch)
                              : true_distance(query, rows, candidate.number, scratch);
  }
}

bool Ivf::search(const float* queries, std::int64_t n, std::int64_t k, std::int64_t effort,
                 const IvfRows& rows, int threads, std::int64_t* ids, float* distances) const {
  const std::int64_t n_live = size();
  double n_probes = static_cast<double>(effort);
  if (rows.allowed != nullptr) {  // the nearest of few lie farther off
    const double share = static_cast<double>(std::max<std::int64_t>(rows.n_allowed, 1)) /
                         static_cast<double>(std::max<std::int64_t>(n_live, 1));
    n_probes /= std::sqrt(std::min(share, 1.0));
  }
  const auto n_lists = static_cast<std::int64_t>(
      std::min(std::ceil(n_probes), static_cast<double>(this->n_lists())));
  const std::int64_t n_possible = rows.allowed == nullptr ? n_live : rows.n_allowed;
  const std::int64_t n_wanted = std::min(k, n_possible);
  std::atomic<bool> has_gaps{false};
  ThreadPool::instance().run(n, threads, [&](std::int64_t i) {
    IvfScratch& scratch = IvfScratch::of_this_thread();
    const float* query = queries + i * settings_.dim;
    prepare(query, scratch);
    scratch.nearest.clear();
    scratch.waiting.clear();
    scratch.n_kept =
        static_cast<std::size_t>(std::min(k + std::max(k / 4, kMoreCandidates), n_live + 1));
    coarse_.probe(scratch.point, 0, n_lists, scratch.probes);
    for (std::size_t p = 0; p < scratch.probes.size(); ++p) {
      if (p + 1 < scratch.probes.size()) {
        const InvertedList& next = lists_[scratch.probes[p + 1].centre];
        const std::int64_t n_blocks = std::min(ListLayout::n_blocks(next.size()), kBlocksAhead);
        prefetch(next.blocks(), n_blocks * layout_.block_bytes());
      }
      scan(scratch.probes[p], rows, scratch);
    }
    answer(query, rows, scratch);
    const std::int64_t n_found = write_nearest(scratch.answers, k, ids + i * k, distances + i * k);
    if (n_found < n_wanted) has_gaps = true;
  });
  return has_gaps;
}

}  // namespace paradox
