#include <algorithm>
#include <cmath>
#include <limits>

#include "paradox/graph/edge_codes.hpp"
#include "paradox/graph/graph.hpp"
#include "paradox/prefetch.hpp"

namespace paradox {
namespace {

/// What a walk takes for an effort of one, in the time in which a sweep passes one node; the latter
/// has two parts, the second for each dimension. Measured with 48,000 nodes of 576 dimensions,
/// 200,000 of 384 and 128, and 399,000 of 64: a walk takes some 1 µs, nodes 5.2, 3.5, 2.1 and 2 ns.
constexpr double kEffortTime = 1000.0, kNodeTime = 1.5, kDimensionTime = 0.0065;

/// Standard errors that estimates are allowed where sweeps begin to be cheaper: 0.996 of the ten
/// nearest are found then among token embeddings, 0.999 and more on three other sets. More effort
/// allows more, by its root; beyond the most all nodes are measured, and a scan is as fast.
constexpr float kLeastCertainty = 1.5f, kMostCertainty = 4.0f;

/// Where walks find too few of the nodes that a filter allows, a sweep of all takes less than a
/// scan of those if these are at least such a share.
constexpr double kLeastShareSwept = 0.08;

/// Of a sum of signs, with the vector as random: (1 - 2 / pi) of the query's square.
constexpr float kSignVariance = 0.3634f;

/// Nodes beyond k whose keys must be smaller: a quarter of k, and this many.
constexpr std::int64_t kMoreKept = 8;

/// Nodes measured together, so that their vectors are on the way from memory.
constexpr std::size_t kWaiting = 32;

/// Blocks that are fetched ahead of the one that is scanned.
constexpr std::int64_t kBlocksAhead = 2;

std::size_t n_kept(std::int64_t k) {
  return static_cast<std::size_t>(k + std::max(k / 4, kMoreKept));
}

}  // namespace

void Graph::sketch(std::uint32_t begin, int threads) {
  if (!settings_.sketch) return;
  sketch_.grow(size());
  const std::int64_t first = begin / kEdgeBlock;
  for_each(Sketch::n_blocks(size()) - first, 64, threads, [&](std::int64_t i) {
    const SketchBlock block = sketch_[first + i];
    const auto start = static_cast<std::uint32_t>((first + i) * kEdgeBlock);
    std::vector<float> offsets(kEdgeBlock), slopes(kEdgeBlock);
    for (std::uint32_t j = 0; j < kEdgeBlock && start + j < size(); ++j) {
      const EdgeFactors factors =
          encode_vector(start + j, layout_.dim, static_cast<int>(j), block.codes());
      offsets[j] = factors.offset;
      slopes[j] = factors.slope;
    }
    poke_word(block.offset_scale(), write_scaled(offsets, block.offsets()));
    poke_word(block.slope_scale(), write_scaled(slopes, block.slopes()));
  });
}

Sweep Graph::sweep_of(std::int64_t k, std::int64_t effort, const GraphRows& rows,
                      const GraphMoment& moment) const {
  if (!settings_.sketch) return {};
  const double least =
      static_cast<double>(size()) * (kNodeTime + kDimensionTime * layout_.dim) / kEffortTime;
  const double share = share_allowed(rows, moment);
  const double times = static_cast<double>(effort) / share / least;
  if (times < 1.0) return {};
  const auto certainty = static_cast<float>(kLeastCertainty * std::sqrt(times));
  return {n_kept(k), std::min(certainty, kMostCertainty)};
}

Sweep Graph::sweep_after_walk(std::int64_t k, const GraphRows& rows,
                              const GraphMoment& moment) const {
  if (!settings_.sketch || share_allowed(rows, moment) < kLeastShareSwept) return {};
  return {n_kept(k), kMostCertainty};
}

void Graph::sweep(SearchScratch& scratch, const Sweep& sweep, const GraphMoment& moment,
                  const GraphRows* filter) const {
  scratch.found.clear();
  scratch.nearest.clear();
  scratch.waiting.clear();
  SignTable signs = scratch.signs;
  const auto length = static_cast<float>(scratch.length);
  const float rounding = static_cast<float>(layout_.dim / 4) * signs.step * signs.step / 12.0f;
  signs.base += sweep.certainty * std::sqrt(kSignVariance * length * length + rounding);
  RowScan scan{};
  float keys[kEdgeBlock];
  const std::int64_t n_nodes = std::min<std::int64_t>(moment.n_nodes, size());
  const std::int64_t n_blocks = Sketch::n_blocks(n_nodes);
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    const SketchBlock block = sketch_[b];
    if (b + kBlocksAhead < n_blocks) {
      prefetch(sketch_[b + kBlocksAhead].codes(), sketch_.block_bytes());
    }
    scan.codes = block.codes();
    scan.offsets = block.offsets();
    scan.slopes = block.slopes();
    scan.offset_scale = peek_word(block.offset_scale());
    scan.slope_scale = peek_word(block.slope_scale());
    scan.threshold = scratch.nearest.size() == sweep.n_kept
                         ? scratch.nearest.front()
                         : std::numeric_limits<float>::infinity();
    std::uint32_t below = kernels_.score_rows(scan, signs, layout_.dim, keys);
    for (; below != 0; below &= below - 1) {
      const std::int64_t node = b * kEdgeBlock + __builtin_ctz(below);
      if (node >= n_nodes) break;
      if (filter != nullptr && !filter->allow(static_cast<std::uint32_t>(node))) continue;
      nodes_.prefetch_vector(static_cast<std::uint32_t>(node));
      scratch.waiting.push_back(static_cast<std::uint32_t>(node));
    }
    if (scratch.waiting.size() >= kWaiting) measure_waiting(scratch, sweep.n_kept, moment);
  }
  measure_waiting(scratch, sweep.n_kept, moment);
}

void Graph::measure_waiting(SearchScratch& scratch, std::size_t n_kept,
                            const GraphMoment& moment) const {
  for (const std::uint32_t at : scratch.waiting) {
    if (!may_be_found(at, moment, nullptr)) continue;
    const float key = node_key(nodes_[at], scratch);
    if (scratch.nearest.size() == n_kept && key >= scratch.nearest.front()) continue;
    scratch.found.push_back(KeyedNode::of(key, at));
    keep_least(scratch.nearest, n_kept, key);
  }
  scratch.waiting.clear();
}

}  // namespace paradox
