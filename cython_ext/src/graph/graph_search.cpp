#include <algorithm>
#include <atomic>
#include <cmath>

#include "paradox/graph/graph.hpp"
#include "paradox/graph/random.hpp"
#include "paradox/graph/sign_table.hpp"
#include "paradox/half.hpp"

namespace paradox {
namespace {

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
    const double unit = is_direction ? 1.0 / norm : 1.0;  // of denormal queries beyond float32
    for (int j = 0; j < dim; ++j) {
      input[j] = static_cast<float>(query[j] * unit) - state_.origin[j];
    }
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

double Graph::share_allowed(const GraphRows& rows, const GraphMoment& moment) const {
  return static_cast<double>(std::max(rows.n_allowed, std::int64_t{1})) /
         static_cast<double>(std::max(moment.n_live, std::int64_t{1}));
}

/// Nodes within a distance are as many as its power of the intrinsic dimension: `effort` is then
/// the rank of the farthest node that a search looks at.
/// Of the nodes passed on the way a filter allows but a share; and those that have come since the
/// moment are passed too.
Reach Graph::reach_of(std::int64_t k, std::int64_t effort, const GraphRows& rows,
                      const GraphMoment& moment) const {
  const std::int64_t size = this->size();
  const double share = share_allowed(rows, moment);
  const auto n_expanded = [&](std::int64_t wanted) {
    const double n = std::min(static_cast<double>(wanted) / share, static_cast<double>(size));
    return static_cast<int>(std::min(static_cast<std::int64_t>(n) + kOnTheWay, size));
  };
  if (moment.dimension == 0.0f || n_expanded(effort) == size) return {n_expanded(effort), 0};
  const double ranks = static_cast<double>(effort) / static_cast<double>(k);
  return {n_expanded(kTimesEffort * effort), static_cast<std::size_t>(k),
          static_cast<float>(std::pow(ranks, 2.0 / moment.dimension))};
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
    found.push_back(KeyedNode::of(is_whole ? node_key(nodes_[at], scratch) : 0.0f, at));
    if (found.size() < n_many) continue;
    keep_nearest(scratch, k);
    n_many = std::max(kManyFound, 2 * found.size());
  }
}

void Graph::measure_dimension(int threads) {
  const auto n = static_cast<std::uint32_t>(size());
  if (n < 2 * kHighestRank) return;
  Random random(settings_.seed + 3);
  const GraphMoment moment = newest();
  // Removed nodes are not found, and some places have more of them than others.
  const double share = static_cast<double>(moment.n_live) / n;
  const auto n_expanded =
      static_cast<int>(std::min<double>(kHighestRank / share + 2 * kOnTheWay, n));
  const std::vector<std::uint32_t> probes = sample(n, std::min(n, kProbes), random);
  std::vector<std::vector<float>> growths_at(probes.size());
  for_each(static_cast<std::int64_t>(probes.size()), 1, threads, [&](std::int64_t i) {
    SearchScratch& scratch = SearchScratch::of_this_thread();
    prepare(probes[static_cast<std::size_t>(i)], scratch);
    walk(scratch, {n_expanded, 0}, moment);
    auto& found = scratch.found;
    if (found.size() < kHighestRank) return;
    std::sort(found.begin(), found.end());
    const auto squared_distance = [&](std::size_t rank) {
      return KeyedNode::key(found[rank - 1]) - scratch.key_of_zero;
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

/// An int8 vector errs by up to half a step in each dimension, evenly spread, so a key by
/// 2 |q| step / sqrt(12) standard errors, and a difference of two keys by sqrt(2) as much; four of
/// these are allowed for.
float Graph::last_key(const SearchScratch& scratch, std::int64_t k) const {
  const std::uint64_t kth = scratch.found[static_cast<std::size_t>(k - 1)];
  const float step = nodes_[KeyedNode::node(kth)].header().scale;
  const auto length = static_cast<float>(scratch.length);
  return KeyedNode::key(kth) + 4.0f * 2.0f * std::sqrt(2.0f / 12.0f) * length * step;
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
    return KeyedNode::key(entry) > last;
  });
  found.erase(end, found.end());
}

void Graph::measure(const float* query, std::int64_t k, const GraphRows& rows,
                    SearchScratch& scratch) const {
  keep_nearest(scratch, k);
  auto& answers = scratch.answers;
  if (rows.vectors == nullptr) {
    for (const std::uint64_t entry : scratch.found) {
      const std::uint32_t node = KeyedNode::node(entry);
      const std::int64_t slot = rows.slot_of(node);
      if (slot < 0) continue;
      answers.push_back({kept_distance(query, node, scratch), rows.ids[slot], slot});
    }
    return;
  }
  for (const std::uint64_t entry : scratch.found) {
    const std::int64_t slot = rows.slot_of(KeyedNode::node(entry));
    if (slot >= 0) answers.push_back({0.0, rows.ids[slot], slot});
  }
  const std::int64_t row_bytes = settings_.dim * (rows.dtype == DType::f32 ? 4 : 2);
  const std::int64_t half = std::min(row_bytes / 2, kPrefetchedBytes);
  const auto* bytes = static_cast<const std::uint8_t*>(rows.vectors);
  const auto ask_for = [&](std::size_t i, std::int64_t begin, std::int64_t end) {
    if (i < answers.size()) prefetch(bytes + answers[i].slot * row_bytes + begin, end - begin);
  };
  for (std::size_t i = 0; i < answers.size(); ++i) {
    ask_for(i, 0, 1);  // and so for its page
    if (settings_.metric == Metric::cosine) prefetch(rows.norms + answers[i].slot, 1);
  }
  ask_for(1, 0, half);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    ask_for(i + 1, half, 2 * half);
    ask_for(i + 2, 0, half);
    answers[i].distance = true_distance(query, rows, answers[i].slot, scratch);
  }
}

bool Graph::search(const float* queries, std::int64_t n, std::int64_t k, std::int64_t effort,
                   const GraphRows& rows, const GraphMoment& moment, int threads, std::int64_t* ids,
                   float* distances) const {
  const bool is_scan = effort == kEveryNode;
  effort = std::max(effort, k + 1);  // a walk of k would be greedy, and miss what lies apart
  const Reach reach = reach_of(k, effort, rows, moment);
  const Sweep sweep = sweep_of(k, effort, rows, moment);
  const Sweep after_walk = sweep_after_walk(k, rows, moment);
  const GraphRows* filter = rows.allowed == nullptr ? nullptr : &rows;
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
        const bool is_spent = walk(scratch, reach, moment, filter);
        const auto n_found = static_cast<std::int64_t>(scratch.found.size());
        const bool is_astray = is_spent && n_found < effort;
        if (after_walk.n_kept > 0 && (n_found < n_wanted || is_astray)) {
          this->sweep(scratch, after_walk, moment, filter);
        }
      }
      measure(query, k, rows, scratch);
    }
    const std::int64_t n_found = write_nearest(scratch.answers, k, ids + i * k, distances + i * k);
    if (n_found < n_wanted) has_gaps = true;
  });
  return has_gaps;
}

}  // namespace paradox
