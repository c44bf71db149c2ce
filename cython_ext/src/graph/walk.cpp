#include <algorithm>
#include <limits>

#include "paradox/graph/graph.hpp"

namespace paradox {
namespace {

/// Searches begin at so many of the entries.
constexpr int kStarts = 4;

/// Once a search has found so many nodes it takes the next one before it has scored the edges of
/// the last: its memory is on the way meanwhile. Before, that would lead it astray.
constexpr std::size_t kSettled = 6;

/// On its way, a search with so many nodes left to expand meets only what may be among the nearest
/// kKeyLanes it knows of, as long as it knows of few: such as an effort of 24 begins with. A
/// build's is for all that it expands, and does so for most of the default alone.
constexpr int kNarrow = kTimesEffort * 24 + kOnTheWay, kNarrowForAll = 64;

}  // namespace

void Graph::enter(SearchScratch& scratch, const Entries& entries) const {
  const auto n = static_cast<std::uint32_t>(entries.nodes.size());
  float* keys = at_least(scratch.entry_keys, static_cast<std::int64_t>(entries.offsets.size()));
  RowScan scan{};
  scan.offset_scale = entries.offset_scale;
  scan.slope_scale = entries.slope_scale;
  SignTable signs = scratch.signs;
  signs.base *= static_cast<float>(entry_dim()) / static_cast<float>(layout_.dim);
  for (std::size_t begin = 0; begin < n; begin += kEdgeBlock) {
    scan.codes = entries.codes.data() + begin / 8 * entry_dim();
    scan.offsets = entries.offsets.data() + begin;
    scan.slopes = entries.slopes.data() + begin;
    kernels_.score_rows(scan, signs, entry_dim(), keys + begin);
  }
  std::fill(keys + n, keys + entries.offsets.size(), std::numeric_limits<float>::infinity());
  std::uint32_t nodes[kStarts];
  float start_keys[kStarts];
  int n_starts = 0;
  for (const int most = std::min<int>(kStarts, n); n_starts < most; ++n_starts) {
    const LeastKey least = kernels_.least_key(keys, n);
    if (!(least.key < std::numeric_limits<float>::infinity())) break;
    nodes[n_starts] = entries.nodes[least.at];
    start_keys[n_starts] = least.key;
    keys[least.at] = std::numeric_limits<float>::infinity();
    if (n_starts == 0 || layout_.is_compact) nodes_.prefetch(nodes[n_starts]);  // others may wait
  }
  if (layout_.is_compact) {  // all keys of compact nodes are from vectors
    for (int i = 0; i < n_starts; ++i) start_keys[i] = node_key(nodes_[nodes[i]], scratch);
  }
  scratch.frontier.meet(nodes, start_keys, (std::uint32_t{1} << n_starts) - 1);
}

float Graph::farthest(const SearchScratch& scratch, const Reach& reach) const {
  if (reach.k == 0 || scratch.nearest.size() < reach.k) {
    return std::numeric_limits<float>::infinity();
  }
  const float zero = scratch.key_of_zero;
  return zero + reach.factor * std::max(scratch.nearest.front() - zero, 0.0f);
}

bool Graph::walk(SearchScratch& scratch, const Reach& reach, const GraphMoment& moment,
                 const GraphRows* filter) const {
  Frontier& frontier = scratch.frontier;
  frontier.clear();
  scratch.found.clear();
  scratch.nearest.clear();
  enter(scratch, *moment.entries);
  if (layout_.is_compact) return walk_compact(scratch, reach, moment, filter);
  const int n_blocks = layout_.degree / kEdgeBlock;
  const int narrow = reach.k == 0 ? kNarrowForAll : kNarrow;
  float farthest = std::numeric_limits<float>::infinity();
  float keys[kEdgeBlock];
  std::uint32_t at = frontier.pop(kernels_, farthest);
  for (int n_left = reach.n_expanded; at != Frontier::kNone; --n_left) {
    if (n_left == 0) return true;
    const bool is_settled = scratch.found.size() >= kSettled;
    const std::uint32_t upcoming = is_settled ? frontier.pop(kernels_, farthest) : Frontier::kNone;
    const Node node = nodes_[at];
    const NodeHeader& header = node.header();
    const auto ask_for_upcoming = [&](int step) {
      if (upcoming != Frontier::kNone) nodes_.prefetch(upcoming, step);
    };
    ask_for_upcoming(0);
    EdgeScan scan{};
    scan.node_key = node_key(node, scratch);
    if (may_be_found(at, moment, filter)) {
      scratch.found.push_back(KeyedNode::of(scan.node_key, at));
      if (keep_least(scratch.nearest, reach.k, scan.node_key)) {
        farthest = this->farthest(scratch, reach);
      }
    }
    scan.offset_scale = peek_word(header.offset_scale);
    scan.slope_scale = peek_word(header.slope_scale);
    const bool is_underway = farthest == std::numeric_limits<float>::infinity();
    scan.threshold = is_underway && n_left <= narrow ? frontier.least().bound : farthest;
    const int degree = peek_word(header.n_edges);
    ask_for_upcoming(1);
    for (int block = 0; block < n_blocks && block * kEdgeBlock < degree; ++block) {
      scan.codes = node.codes(block);
      scan.offsets = node.offsets() + block * kEdgeBlock;
      scan.slopes = node.slopes() + block * kEdgeBlock;
      std::uint32_t below = kernels_.score_edges(scan, scratch.signs, layout_.dim, keys);
      if (block == 0) ask_for_upcoming(2);
      const int n_edges = degree - block * kEdgeBlock;
      if (n_edges < kEdgeBlock) below &= (std::uint32_t{1} << n_edges) - 1;
      frontier.meet(node.neighbours() + block * kEdgeBlock, keys, below);
      if (block == 0) ask_for_upcoming(3);
    }
    at = upcoming != Frontier::kNone ? upcoming : frontier.pop(kernels_, farthest);
    if (at != upcoming && at != Frontier::kNone) nodes_.prefetch(at);
  }
  return false;
}

/// A node is measured before it is expanded, not after.
bool Graph::walk_compact(SearchScratch& scratch, const Reach& reach, const GraphMoment& moment,
                         const GraphRows* filter) const {
  Frontier& frontier = scratch.frontier;
  const auto n_ahead =
      static_cast<std::uint32_t>(std::max(kPrefetchedBytes / layout_.codes, std::int64_t{1}));
  float farthest = std::numeric_limits<float>::infinity();
  for (int n_left = reach.n_expanded;; --n_left) {
    const std::uint32_t at = frontier.pop(kernels_, farthest);
    if (at == Frontier::kNone) return false;
    if (n_left == 0) return true;
    const float its_key = frontier.least().key;
    const Node node = nodes_[at];
    const int degree = peek_word(node.header().n_edges);
    std::uint32_t number = frontier.size();
    for (int begin = 0; begin < degree; begin += kEdgeBlock) {
      frontier.meet(node.neighbours() + begin, std::min(degree - begin, kEdgeBlock));
    }
    const std::uint32_t end = frontier.size();
    for (std::uint32_t i = number; i < std::min(number + n_ahead, end); ++i) {
      nodes_.prefetch_vector(frontier.node(i));
    }
    if (may_be_found(at, moment, filter)) {
      scratch.found.push_back(KeyedNode::of(its_key, at));
      if (keep_least(scratch.nearest, reach.k, its_key)) {
        farthest = this->farthest(scratch, reach);
      }
    }
    const std::uint32_t upcoming = frontier.peek(kernels_, farthest);
    if (upcoming != Frontier::kNone) nodes_.prefetch_edges(upcoming);
    for (; number < end; ++number) {
      if (number + n_ahead < end) nodes_.prefetch_vector(frontier.node(number + n_ahead));
      const float key = node_key(nodes_[frontier.node(number)], scratch);
      if (key < farthest) frontier.set_key(number, key);
    }
  }
}

std::vector<std::uint32_t> Graph::met_on_the_way_to(std::uint32_t node) const {
  SearchScratch& scratch = SearchScratch::of_this_thread();
  prepare(node, scratch);
  walk(scratch, {settings_.build_effort, 0}, newest());
  std::vector<std::uint32_t> met;
  met.reserve(scratch.found.size());
  for (const std::uint64_t entry : scratch.found) met.push_back(KeyedNode::node(entry));
  return met;
}

}  // namespace paradox
