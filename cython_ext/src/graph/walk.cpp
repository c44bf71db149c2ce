#include <algorithm>
#include <limits>

#include "paradox/graph/graph.hpp"

namespace paradox {
namespace {

/// Searches begin at so many of the entries.
constexpr int kStarts = 4;

/// Once a search has found so many nodes it takes the next one before it has scored the edges of
/// the last: its memory is on the way meanwhile. Before, that would lead it astray.
constexpr std::size_t kSettled = 10;

}  // namespace

void Graph::enter(SearchScratch& scratch, const Entries& entries) const {
  std::uint64_t starts[kStarts];
  int n_starts = 0;
  float keys[kEdgeBlock];
  RowScan scan{};
  scan.offset_scale = entries.offset_scale;
  scan.slope_scale = entries.slope_scale;
  scan.threshold = std::numeric_limits<float>::infinity();
  SignTable signs = scratch.signs;
  signs.base *= static_cast<float>(entry_dim()) / static_cast<float>(layout_.dim);
  for (std::size_t begin = 0; begin < entries.nodes.size(); begin += kEdgeBlock) {
    scan.codes = entries.codes.data() + begin / 8 * entry_dim();
    scan.offsets = entries.offsets.data() + begin;
    scan.slopes = entries.slopes.data() + begin;
    std::uint32_t below = kernels_.score_rows(scan, signs, entry_dim(), keys);
    for (; below != 0; below &= below - 1) {
      const auto i = static_cast<std::size_t>(__builtin_ctz(below));
      if (begin + i >= entries.nodes.size()) break;
      const std::uint64_t entry = BeamEntry::of(keys[i], entries.nodes[begin + i]);
      if (n_starts == kStarts && entry >= starts[kStarts - 1]) continue;
      int at = n_starts < kStarts ? n_starts++ : kStarts - 1;
      for (; at > 0 && starts[at - 1] > entry; --at) starts[at] = starts[at - 1];
      starts[at] = entry;
      if (n_starts == kStarts) scan.threshold = BeamEntry::key(starts[kStarts - 1]);
    }
  }
  for (int i = 0; i < n_starts; ++i) {
    const std::uint32_t node = BeamEntry::node(starts[i]);
    if (i == 0 || layout_.is_compact) nodes_.prefetch(node);  // the others may never be expanded
    scratch.met.insert(node);
  }
  if (layout_.is_compact) {  // a beam of keys from vectors
    for (int i = 0; i < n_starts; ++i) {
      const std::uint32_t node = BeamEntry::node(starts[i]);
      starts[i] = BeamEntry::of(node_key(nodes_[node], scratch), node);
    }
  }
  scratch.beam.merge(kernels_, starts, n_starts);
}

float Graph::farthest(const SearchScratch& scratch, const Reach& reach) const {
  if (reach.k == 0 || scratch.nearest.size() < reach.k) {
    return std::numeric_limits<float>::infinity();
  }
  const float zero = scratch.key_of_zero;
  return zero + reach.factor * std::max(scratch.nearest.front() - zero, 0.0f);
}

void Graph::walk(SearchScratch& scratch, const Reach& reach, const GraphMoment& moment,
                 const GraphRows* filter) const {
  Beam& beam = scratch.beam;
  beam.reset(reach.width);
  scratch.met.clear();
  scratch.found.clear();
  scratch.nearest.clear();
  enter(scratch, *moment.entries);
  if (layout_.is_compact) return walk_compact(scratch, reach, moment, filter);
  const int n_blocks = layout_.degree / kEdgeBlock;
  float farthest = std::numeric_limits<float>::infinity();
  float keys[kEdgeBlock];
  std::uint64_t fresh[kEdgeBlock];
  std::uint32_t at = beam.pop(farthest);
  while (at != Beam::kNone) {
    const bool is_settled = scratch.found.size() >= kSettled;
    const std::uint32_t upcoming = is_settled ? beam.pop(farthest) : beam.peek();
    const Node node = nodes_[at];
    const NodeHeader& header = node.header();
    const auto ask_for_upcoming = [&](int step) {
      if (upcoming != Beam::kNone) nodes_.prefetch(upcoming, step);
    };
    ask_for_upcoming(0);
    EdgeScan scan{};
    scan.node_key = node_key(node, scratch);
    if (may_be_found(at, moment, filter)) {
      scratch.found.push_back(BeamEntry::of(scan.node_key, at));
      if (keep_least(scratch.nearest, reach.k, scan.node_key)) {
        farthest = this->farthest(scratch, reach);
      }
    }
    scan.offset_scale = peek_word(header.offset_scale);
    scan.slope_scale = peek_word(header.slope_scale);
    const int degree = peek_word(header.n_edges);
    ask_for_upcoming(1);
    for (int block = 0; block < n_blocks && block * kEdgeBlock < degree; ++block) {
      scan.codes = node.codes(block);
      scan.offsets = node.offsets() + block * kEdgeBlock;
      scan.slopes = node.slopes() + block * kEdgeBlock;
      scan.threshold = std::min(beam.threshold(), farthest);
      std::uint32_t below = kernels_.score_edges(scan, scratch.signs, layout_.dim, keys);
      if (block == 0) ask_for_upcoming(2);
      const int n_edges = degree - block * kEdgeBlock;
      if (n_edges < kEdgeBlock) below &= (std::uint32_t{1} << n_edges) - 1;
      int n_fresh = 0;
      for (; below != 0; below &= below - 1) {
        const int i = __builtin_ctz(below);
        const std::uint32_t neighbour = load_word(node.neighbours()[block * kEdgeBlock + i]);
        fresh[n_fresh] = BeamEntry::of(keys[i], neighbour);
        n_fresh += scratch.met.insert(neighbour) ? 1 : 0;
      }
      if (block == 0) ask_for_upcoming(3);
      if (n_fresh > 0) beam.merge(kernels_, fresh, n_fresh);
    }
    at = is_settled && upcoming != Beam::kNone ? upcoming : beam.pop(farthest);
    if (at != upcoming && at != Beam::kNone) nodes_.prefetch(at);
  }
}

/// The beam's keys are those of vectors: a node is measured before it is expanded, not after.
void Graph::walk_compact(SearchScratch& scratch, const Reach& reach, const GraphMoment& moment,
                         const GraphRows* filter) const {
  Beam& beam = scratch.beam;
  const int n_ahead = static_cast<int>(std::max(kPrefetchedBytes / layout_.codes, std::int64_t{1}));
  float farthest = std::numeric_limits<float>::infinity();
  std::uint32_t unmet[kMostEdges];
  std::uint64_t fresh[kEdgeBlock];
  for (std::uint32_t at; (at = beam.pop(farthest)) != Beam::kNone;) {
    const float its_key = beam.popped_key();
    const Node node = nodes_[at];
    const int degree = peek_word(node.header().n_edges);
    int n_unmet = 0;
    for (int edge = 0; edge < degree; ++edge) {
      unmet[n_unmet] = load_word(node.neighbours()[edge]);
      n_unmet += scratch.met.insert(unmet[n_unmet]) ? 1 : 0;
    }
    for (int i = 0; i < std::min(n_ahead, n_unmet); ++i) nodes_.prefetch_vector(unmet[i]);
    if (may_be_found(at, moment, filter)) {
      scratch.found.push_back(BeamEntry::of(its_key, at));
      if (keep_least(scratch.nearest, reach.k, its_key)) {
        farthest = this->farthest(scratch, reach);
      }
    }
    const std::uint32_t upcoming = beam.peek();
    if (upcoming != Beam::kNone) nodes_.prefetch_edges(upcoming);
    float threshold = std::min(beam.threshold(), farthest);
    int n_fresh = 0;
    for (int i = 0; i < n_unmet; ++i) {
      if (i + n_ahead < n_unmet) nodes_.prefetch_vector(unmet[i + n_ahead]);
      const float found = node_key(nodes_[unmet[i]], scratch);
      if (!(found < threshold)) continue;
      fresh[n_fresh++] = BeamEntry::of(found, unmet[i]);
      if (n_fresh < kEdgeBlock) continue;
      beam.merge(kernels_, fresh, n_fresh);
      n_fresh = 0;
      threshold = std::min(beam.threshold(), farthest);
    }
    if (n_fresh > 0) beam.merge(kernels_, fresh, n_fresh);
  }
}

std::vector<std::uint32_t> Graph::met_on_the_way_to(std::uint32_t node) const {
  SearchScratch& scratch = SearchScratch::of_this_thread();
  prepare(node, scratch);
  walk(scratch, {settings_.build_effort, 0}, newest());
  std::vector<std::uint32_t> met;
  met.reserve(scratch.found.size());
  for (const std::uint64_t entry : scratch.found) met.push_back(BeamEntry::node(entry));
  return met;
}

}  // namespace paradox
