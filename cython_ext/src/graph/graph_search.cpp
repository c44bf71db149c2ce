#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "paradox/graph/graph.hpp"
#include "paradox/graph/random.hpp"
#include "paradox/graph/sign_table.hpp"
#include "paradox/half.hpp"

namespace paradox {
namespace {

/// Searches begin at so many of the entries.
constexpr int kStarts = 4;

/// The beam is so many times as wide as the effort: the farthest that any query goes.
constexpr std::int64_t kWidest = 2;

/// Once a search has found so many nodes it takes the next one before it has scored the edges of
/// the last: its memory is on the way meanwhile. Before, that would lead it astray.
constexpr std::size_t kSettled = 10;

/// Once so many nodes have been looked at, those that are too far are dropped.
constexpr std::size_t kManyFound = 1 << 14;

/// The intrinsic dimension is measured at so many nodes, from the distance at which they have so
/// many neighbours on average, in terms of that of the lowest rank. Medians would not do: the mean
/// is what a search costs, and comes from the few nodes around which there are many.
constexpr std::uint32_t kProbes = 128;
constexpr std::size_t kLowestRank = 10, kMeanRank = 40, kHighestRank = 100;

/// Greatest int16 step of a query: its product with an int8 vector must fit 32 bits.
float greatest_step(int dim) { return std::min(8191.0f, 2147483000.0f / (127.0f * dim)); }

}  // namespace

bool keep_least(std::vector<float>& heap, std::size_t k, float key) {
  if (heap.size() == k) {
    if (k == 0 || key >= heap.front()) return false;
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
  }
  heap.push_back(key);
  std::push_heap(heap.begin(), heap.end());
  return heap.size() == k;
}

SearchScratch& SearchScratch::of_this_thread() {
  thread_local SearchScratch scratch;
  return scratch;
}

void Graph::prepare(const float* query, double norm, SearchScratch& scratch) const {
  const int dim = settings_.dim;
  float* input = at_least(scratch.input, dim + 1);
  scratch.norm = norm;
  if (is_product()) {  // lengthened as the nodes are: estimates err by |q - node|
    const bool is_long = norm > 0.0 && state_.longest > 0.0f;
    const double scale = is_long ? state_.longest / norm : 1.0;
    for (int j = 0; j < dim; ++j) input[j] = static_cast<float>(query[j] * scale);
    input[dim] = 0.0f;
    scratch.scale = scale;
  } else {
    const bool is_direction = settings_.metric == Metric::cosine && norm > 0.0;
    const auto unit = static_cast<float>(is_direction ? 1.0 / norm : 1.0);
    for (int j = 0; j < dim; ++j) input[j] = query[j] * unit - state_.origin[j];
    scratch.scale = 1.0;
    if (!is_direction && norm > kGreatestLength) {  // its squares would leave float32
      scratch.scale = kGreatestLength / norm;
      for (int j = 0; j < dim; ++j) input[j] *= static_cast<float>(scratch.scale);
    }
  }
  scratch.length = this->norm(input, dim);
  rotation_.apply(kernels_, input, at_least(scratch.rotated, layout_.dim));
  prepare_rotated(scratch);
}

void Graph::prepare(std::uint32_t node, SearchScratch& scratch) const {
  const Int8Vector kept = vector(node);
  float* rotated = at_least(scratch.rotated, layout_.dim);
  for (int j = 0; j < layout_.dim; ++j)
    rotated[j] = kept.scale * static_cast<float>(kept.values[j]);
  scratch.length = std::sqrt(double{nodes_[node].header().squares});
  prepare_rotated(scratch);
}

void Graph::prepare_rotated(SearchScratch& scratch) const {
  const int dim = layout_.dim;
  const float* rotated = scratch.rotated.data();
  const Extremes extremes = kernels_.extremes(rotated, dim);
  const float most = greatest_step(dim);
  scratch.step = extremes.value / most;
  const float to_step = extremes.value > kLeastValue ? most / extremes.value : 0.0f;
  kernels_.to_int16(rotated, dim, to_step, at_least(scratch.values, dim));
  scratch.signs = sign_table_of(kernels_, rotated, dim, extremes.sum_of_four, scratch.sign_entries);
  const double node_squares = is_product() ? double{state_.longest} * state_.longest : 0.0;
  scratch.key_of_zero = static_cast<float>(-(scratch.length * scratch.length + node_squares));
}

void Graph::enter(SearchScratch& scratch, const Entries& entries) const {
  std::uint64_t starts[kStarts];
  int n_starts = 0;
  float keys[kEdgeBlock];
  EdgeScan scan{};
  scan.factor_scale = entries.scale;
  scan.threshold = std::numeric_limits<float>::infinity();
  SignTable signs = scratch.signs;
  signs.base *= static_cast<float>(entry_dim()) / static_cast<float>(layout_.dim);
  for (std::size_t begin = 0; begin < entries.nodes.size(); begin += kEdgeBlock) {
    scan.codes = entries.codes.data() + begin / 8 * entry_dim();
    scan.offsets = entries.offsets.data() + begin;
    scan.slopes = entries.slopes.data() + begin;
    std::uint32_t below = kernels_.score_edges(scan, signs, entry_dim(), keys);
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
    nodes_.prefetch(BeamEntry::node(starts[i]));
    scratch.met.insert(BeamEntry::node(starts[i]));
  }
  if (layout_.is_compact) {  // a beam of keys from vectors
    for (int i = 0; i < n_starts; ++i) {
      const std::uint32_t node = BeamEntry::node(starts[i]);
      starts[i] = BeamEntry::of(node_key(nodes_[node], scratch), node);
    }
  }
  scratch.beam.merge(starts, n_starts);
}

double Graph::share_allowed(const GraphRows& rows) const {
  return static_cast<double>(std::max(rows.n_allowed, std::int64_t{1})) /
         static_cast<double>(size() - peek_word(n_removed_));
}

/// Nodes within a distance are as many as its power of the intrinsic dimension: `effort` is then
/// the rank of the farthest node that a search looks at.
/// Of the nodes passed on the way a filter allows but a share; and those that have come since the
/// moment are passed too.
Reach Graph::reach_of(std::int64_t k, std::int64_t effort, const GraphRows& rows,
                      const GraphMoment& moment) const {
  effort = std::max(effort, k);
  const std::int64_t size = this->size();
  const double share = share_allowed(rows);
  const auto width = [&](std::int64_t wanted) {
    return static_cast<int>(
        std::min(static_cast<double>(wanted) / share, static_cast<double>(size)));
  };
  if (moment.dimension == 0.0f || width(effort) == size) return {width(effort), 0};
  const double ranks = static_cast<double>(effort) / static_cast<double>(k);
  return {width(kWidest * effort), static_cast<std::size_t>(k),
          static_cast<float>(std::pow(ranks, 2.0 / moment.dimension))};
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
  bool is_whole = false;  // asked for to its end
  while (at != Beam::kNone) {
    const bool is_settled = scratch.found.size() >= kSettled;
    const std::uint32_t upcoming = is_settled ? beam.pop(farthest) : beam.peek();
    const Node node = nodes_[at];
    const NodeHeader& header = node.header();
    EdgeScan scan{};
    scan.node_key = node_key(node, scratch);
    if (may_be_found(at, moment, filter)) {
      scratch.found.push_back(BeamEntry::of(scan.node_key, at));
      if (keep_least(scratch.nearest, reach.k, scan.node_key)) {
        farthest = this->farthest(scratch, reach);
      }
    }
    scan.factor_scale = peek_word(header.factor_scale);
    const int degree = peek_word(header.n_edges);
    if (!is_whole) nodes_.prefetch_rest(at);
    if (upcoming != Beam::kNone) nodes_.prefetch(upcoming);
    for (int block = 0; block < n_blocks && block * kEdgeBlock < degree; ++block) {
      scan.codes = node.codes(block);
      scan.offsets = node.offsets() + block * kEdgeBlock;
      scan.slopes = node.slopes() + block * kEdgeBlock;
      scan.threshold = std::min(beam.threshold(), farthest);
      std::uint32_t below = kernels_.score_edges(scan, scratch.signs, layout_.dim, keys);
      if (block == 0 && upcoming != Beam::kNone) nodes_.prefetch_rest(upcoming);
      const int n_edges = degree - block * kEdgeBlock;
      if (n_edges < kEdgeBlock) below &= (std::uint32_t{1} << n_edges) - 1;
      int n_fresh = 0;
      for (; below != 0; below &= below - 1) {
        const int i = __builtin_ctz(below);
        const std::uint32_t neighbour = load_word(node.neighbours()[block * kEdgeBlock + i]);
        fresh[n_fresh] = BeamEntry::of(keys[i], neighbour);
        n_fresh += scratch.met.insert(neighbour) ? 1 : 0;
      }
      if (n_fresh > 0) beam.merge(fresh, n_fresh);
    }
    at = is_settled && upcoming != Beam::kNone ? upcoming : beam.pop(farthest);
    if (at == Beam::kNone) break;
    is_whole = at == upcoming;
    if (!is_whole) nodes_.prefetch(at);
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
      beam.merge(fresh, n_fresh);
      n_fresh = 0;
      threshold = std::min(beam.threshold(), farthest);
    }
    if (n_fresh > 0) beam.merge(fresh, n_fresh);
  }
}

void Graph::look_at_all(SearchScratch& scratch, std::int64_t k, const GraphMoment& moment,
                        const GraphRows* filter) const {
  auto& found = scratch.found;
  const bool is_whole = scratch.scale == 1.0 || is_product();  // or else keys are not of the query
  const auto n_nodes = static_cast<std::uint32_t>(std::min<std::int64_t>(moment.n_nodes, size()));
  std::size_t n_many = kManyFound;
  found.clear();
  for (std::uint32_t at = 0; at < n_nodes; ++at) {
    if (!may_be_found(at, moment, filter)) continue;
    found.push_back(BeamEntry::of(is_whole ? node_key(nodes_[at], scratch) : 0.0f, at));
    if (found.size() < n_many) continue;
    keep_nearest(scratch, k);
    n_many = std::max(kManyFound, 2 * found.size());
  }
}

void Graph::measure_dimension(int threads) {
  const auto n = static_cast<std::uint32_t>(size());
  if (n < 2 * kHighestRank) return;
  Random random(settings_.seed + 3);
  const std::vector<std::uint32_t> probes = sample(n, std::min(n, kProbes), random);
  std::vector<std::vector<float>> growths_at(probes.size());
  for_each(static_cast<std::int64_t>(probes.size()), 1, threads, [&](std::int64_t i) {
    SearchScratch& scratch = SearchScratch::of_this_thread();
    prepare(probes[static_cast<std::size_t>(i)], scratch);
    walk(scratch, {static_cast<int>(kHighestRank), 0}, newest());
    auto& found = scratch.found;
    if (found.size() < kHighestRank) return;
    std::sort(found.begin(), found.end());
    const auto squared_distance = [&](std::size_t rank) {
      return BeamEntry::key(found[rank - 1]) - scratch.key_of_zero;
    };
    const float lowest = squared_distance(kLowestRank);
    if (!(lowest > 0.0f)) return;
    for (std::size_t rank = kLowestRank + 1; rank <= kHighestRank; ++rank) {
      growths_at[static_cast<std::size_t>(i)].push_back(0.5f *
                                                        std::log(squared_distance(rank) / lowest));
    }
  });
  std::vector<float> growths;
  std::size_t n_measured = 0;
  for (const std::vector<float>& some : growths_at) {
    growths.insert(growths.end(), some.begin(), some.end());
    n_measured += some.empty() ? 0 : 1;
  }
  if (n_measured == 0) return;
  const auto at_mean =
      growths.begin() + static_cast<std::ptrdiff_t>(n_measured * (kMeanRank - kLowestRank));
  std::nth_element(growths.begin(), at_mean, growths.end());
  const float ranks = std::log(static_cast<float>(kMeanRank) / kLowestRank);
  state_.dimension = std::clamp(ranks / *at_mean, kLeastDimension, kMostDimension);
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

/// An int8 vector errs by up to half a step in each dimension, evenly spread, so a key by
/// 2 |q| step / sqrt(12) standard errors, and a difference of two keys by sqrt(2) as much; four of
/// these are allowed for.
float Graph::last_key(const SearchScratch& scratch, std::int64_t k) const {
  const std::uint64_t kth = scratch.found[static_cast<std::size_t>(k - 1)];
  const float step = nodes_[BeamEntry::node(kth)].header().scale;
  const auto length = static_cast<float>(scratch.length);
  return BeamEntry::key(kth) + 4.0f * 2.0f * std::sqrt(2.0f / 12.0f) * length * step;
}

/// As `refine` has it, whose bits it must have: answers are compared with those of a scan.
double Graph::true_distance(const float* query, const GraphRows& rows, std::int64_t slot,
                            SearchScratch& scratch) const {
  const int dim = settings_.dim;
  const float* row = static_cast<const float*>(rows.vectors) + slot * dim;
  if (rows.dtype == DType::f16) {
    float* wide = at_least(scratch.row, dim);
    to_floats(static_cast<const Half*>(rows.vectors) + slot * dim, dim, wide);
    row = wide;
  }
  if (settings_.metric == Metric::l2) return kernels_.squared_distance(query, row, dim);
  const double dot = kernels_.dot_product(query, row, dim);
  if (settings_.metric == Metric::ip) return -dot;
  const double norms = scratch.norm * rows.norms[slot];
  return norms == 0.0 ? 1.0 : std::max(1.0 - dot / norms, 0.0);
}

double Graph::kept_distance(const float* query, std::uint32_t node, SearchScratch& scratch) const {
  const int dim = layout_.dim;
  const Int8Vector kept = vector(node);
  float* row = at_least(scratch.row, dim);
  for (int j = 0; j < dim; ++j) row[j] = kept.scale * static_cast<float>(kept.values[j]);
  const float* rotated = scratch.rotated.data();
  if (is_product()) {
    return -(kernels_.dot_product(rotated, row, dim) / scratch.scale +
             kernels_.dot_product(query, state_.origin.data(), settings_.dim));
  }
  if (scratch.scale != 1.0) {
    const double length = scratch.length / scratch.scale;
    return length * length - 2.0 * kernels_.dot_product(rotated, row, dim) / scratch.scale +
           kernels_.dot_product(row, row, dim);
  }
  const double squared = kernels_.squared_distance(rotated, row, dim);
  return settings_.metric == Metric::cosine ? squared / 2.0 : squared;
}

void Graph::keep_nearest(SearchScratch& scratch, std::int64_t k) const {
  auto& found = scratch.found;
  if (static_cast<std::int64_t>(found.size()) <= k) return;
  std::nth_element(found.begin(), found.begin() + (k - 1), found.end());
  const float last = last_key(scratch, k);
  const auto end = std::remove_if(found.begin() + k, found.end(), [last](std::uint64_t entry) {
    return BeamEntry::key(entry) > last;
  });
  found.erase(end, found.end());
}

void Graph::measure(const float* query, std::int64_t k, const GraphRows& rows,
                    SearchScratch& scratch) const {
  keep_nearest(scratch, k);
  auto& answers = scratch.answers;
  if (rows.vectors == nullptr) {
    for (const std::uint64_t entry : scratch.found) {
      const std::uint32_t node = BeamEntry::node(entry);
      const std::int64_t slot = rows.slot_of(node);
      if (slot < 0) continue;
      answers.push_back({kept_distance(query, node, scratch), rows.ids[slot], slot});
    }
    return;
  }
  for (const std::uint64_t entry : scratch.found) {
    const std::int64_t slot = rows.slot_of(BeamEntry::node(entry));
    if (slot >= 0) answers.push_back({0.0, rows.ids[slot], slot});
  }
  const std::int64_t row_bytes = settings_.dim * (rows.dtype == DType::f32 ? 4 : 2);
  const auto* bytes = static_cast<const std::uint8_t*>(rows.vectors);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (i + 1 < answers.size()) {
      prefetch(bytes + answers[i + 1].slot * row_bytes, std::min(row_bytes, kPrefetchedBytes));
    }
    answers[i].distance = true_distance(query, rows, answers[i].slot, scratch);
  }
}

bool Graph::search(const float* queries, std::int64_t n, std::int64_t k, std::int64_t effort,
                   const GraphRows& rows, const GraphMoment& moment, int threads, std::int64_t* ids,
                   float* distances) const {
  const Reach reach = reach_of(k, effort, rows, moment);
  const Sweep sweep = sweep_of(k, effort, rows);
  const GraphRows* filter = rows.allowed == nullptr ? nullptr : &rows;
  const bool is_scan = effort == kEveryNode;
  const std::int64_t n_wanted = std::min(k, rows.n_allowed);
  std::atomic<bool> has_gaps{false};
  ThreadPool::instance().run(n, threads, [&](std::int64_t i) {
    SearchScratch& scratch = SearchScratch::of_this_thread();
    const float* query = queries + i * settings_.dim;
    const double length = norm(query, settings_.dim);
    scratch.answers.clear();
    if (settings_.metric == Metric::cosine || length <= kGreatestLength || is_scan) {
      prepare(query, length, scratch);
      if (is_scan) {
        look_at_all(scratch, k, moment, filter);
      } else if (sweep.n_kept > 0) {
        this->sweep(scratch, sweep, moment, filter);
      } else {
        walk(scratch, reach, moment, filter);
      }
      measure(query, k, rows, scratch);
    }
    const std::int64_t n_found = write_nearest(scratch.answers, k, ids + i * k, distances + i * k);
    if (n_found < n_wanted) has_gaps = true;
  });
  return has_gaps;
}

}  // namespace paradox
