#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "paradox/graph/graph.hpp"

namespace paradox {
namespace {

/// Searches begin at so many of the entries.
constexpr int kStarts = 4;

/// Greatest int16 step of a query: its product with an int8 vector must fit 32 bits.
float greatest_step(int dim) { return std::min(8191.0f, 2147483000.0f / (127.0f * dim)); }

/// Greatest byte of a sign table: four must fit a byte, and one of every four dimensions 16 bits.
float greatest_entry(int dim) { return std::min(63.0f, std::floor(65535.0f / (dim / 4))); }

}  // namespace

SearchScratch& SearchScratch::of_this_thread() {
  thread_local SearchScratch scratch;
  return scratch;
}

void Graph::prepare(const float* query, SearchScratch& scratch) const {
  const int dim = settings_.dim;
  float* input = at_least(scratch.input, dim + 1);
  scratch.norm = settings_.metric == Metric::l2 ? 0.0 : norm(query, dim);
  if (is_product()) {  // lengthened as the nodes are: estimates err by |q - node|
    auto scale = scratch.norm > 0.0 ? static_cast<float>(longest_ / scratch.norm) : 1.0f;
    if (!(scale > 0.0f && std::isfinite(scale))) scale = 1.0f;
    for (int j = 0; j < dim; ++j) input[j] = query[j] * scale;
    input[dim] = 0.0f;
  } else {
    const bool is_direction = settings_.metric == Metric::cosine && scratch.norm > 0.0;
    const auto unit = static_cast<float>(is_direction ? 1.0 / scratch.norm : 1.0);
    for (int j = 0; j < dim; ++j) input[j] = query[j] * unit - origin_[j];
  }
  scratch.length = norm(input, dim);
  rotation_.apply(kernels_, input, at_least(scratch.rotated, layout_.dim));
  prepare_rotated(scratch);
}

void Graph::prepare(std::uint32_t node, SearchScratch& scratch) const {
  const Int8Vector kept = vector(node);
  float* rotated = at_least(scratch.rotated, layout_.dim);
  for (int j = 0; j < layout_.dim; ++j)
    rotated[j] = kept.scale * static_cast<float>(kept.values[j]);
  prepare_rotated(scratch);
}

void Graph::prepare_rotated(SearchScratch& scratch) const {
  const int dim = layout_.dim;
  const float* rotated = scratch.rotated.data();
  const Extremes extremes = kernels_.extremes(rotated, dim);
  const float most = greatest_step(dim);
  scratch.step = extremes.value / most;
  const float to_step = extremes.value > 0.0f ? most / extremes.value : 0.0f;
  kernels_.to_int16(rotated, dim, to_step, at_least(scratch.values, dim));
  const float top = greatest_entry(dim), widest = extremes.sum_of_four;
  const float to_entry = widest > 0.0f ? top / (2.0f * widest) : 0.0f;
  kernels_.sign_table(rotated, dim, to_entry, widest * to_entry + 0.5f,
                      at_least(scratch.sign_entries, std::int64_t{4} * dim));
  scratch.signs = {scratch.sign_entries.data(), 2.0f * widest / top,
                   -static_cast<float>(dim / 4) * widest};
}

void Graph::enter(SearchScratch& scratch) const {
  std::uint64_t starts[kStarts];
  int n_starts = 0;
  float keys[kEdgeBlock];
  EdgeScan scan{};
  scan.factor_scale = entry_scale_;
  scan.threshold = std::numeric_limits<float>::infinity();
  for (std::size_t begin = 0; begin < entries_.size(); begin += kEdgeBlock) {
    scan.codes = entry_codes_.data() + begin / kEdgeBlock * layout_.block_bytes();
    scan.offsets = entry_offsets_.data() + begin;
    scan.slopes = entry_slopes_.data() + begin;
    std::uint32_t below = kernels_.score_edges(scan, scratch.signs, layout_.dim, keys);
    for (; below != 0; below &= below - 1) {
      const auto i = static_cast<std::size_t>(__builtin_ctz(below));
      if (begin + i >= entries_.size()) break;
      const std::uint64_t entry = BeamEntry::of(keys[i], entries_[begin + i]);
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
  scratch.beam.merge(starts, n_starts);
}

void Graph::walk(SearchScratch& scratch, int width) const {
  Beam& beam = scratch.beam;
  beam.reset(width);
  scratch.met.clear();
  scratch.found.clear();
  enter(scratch);
  const int n_blocks = layout_.degree / kEdgeBlock;
  float keys[kEdgeBlock];
  std::uint64_t fresh[kEdgeBlock];
  for (std::uint32_t at = beam.pop(); at != Beam::kNone; at = beam.pop()) {
    if (const std::uint32_t next = beam.peek(); next != Beam::kNone) nodes_.prefetch(next);
    const Node node = nodes_[at];
    const NodeHeader& header = node.header();
    const std::int32_t dot = kernels_.dot_i16i8(scratch.values.data(), node.vector(), layout_.dim);
    EdgeScan scan{};
    scan.node_key = header.term - 2.0f * (scratch.step * header.scale) * static_cast<float>(dot);
    if (header.is_removed == 0) scratch.found.push_back(BeamEntry::of(scan.node_key, at));
    scan.factor_scale = header.factor_scale;
    for (int block = 0; block < n_blocks && block * kEdgeBlock < header.n_edges; ++block) {
      scan.codes = node.codes(block);
      scan.offsets = node.offsets() + block * kEdgeBlock;
      scan.slopes = node.slopes() + block * kEdgeBlock;
      scan.threshold = beam.threshold();
      std::uint32_t below = kernels_.score_edges(scan, scratch.signs, layout_.dim, keys);
      const int n_edges = header.n_edges - block * kEdgeBlock;
      if (n_edges < kEdgeBlock) below &= (std::uint32_t{1} << n_edges) - 1;
      int n_fresh = 0;
      for (; below != 0; below &= below - 1) {
        const int i = __builtin_ctz(below);
        const std::uint32_t neighbour = node.neighbours()[block * kEdgeBlock + i];
        if (scratch.met.insert(neighbour)) fresh[n_fresh++] = BeamEntry::of(keys[i], neighbour);
      }
      if (n_fresh > 0) beam.merge(fresh, n_fresh);
    }
    if (const std::uint32_t next = beam.peek(); next != Beam::kNone) nodes_.prefetch(next);
  }
}

std::vector<std::uint32_t> Graph::met_on_the_way_to(std::uint32_t node) const {
  SearchScratch& scratch = SearchScratch::of_this_thread();
  prepare(node, scratch);
  walk(scratch, settings_.build_effort);
  std::vector<std::uint32_t> met;
  met.reserve(scratch.found.size());
  for (const std::uint64_t entry : scratch.found) met.push_back(BeamEntry::node(entry));
  return met;
}

void Graph::search(const float* queries, std::int64_t n, std::int64_t k, std::int64_t effort,
                   int threads, std::int64_t* out) const {
  const auto width = static_cast<int>(std::min(std::max(effort, k), size()));
  ThreadPool::instance().run(n, threads, [&](std::int64_t i) {
    std::int64_t* nearest = out + i * k;
    std::fill_n(nearest, k, -1);
    if (size() == 0) return;
    SearchScratch& scratch = SearchScratch::of_this_thread();
    prepare(queries + i * settings_.dim, scratch);
    walk(scratch, width);
    auto& found = scratch.found;
    const auto n_found = std::min(static_cast<std::int64_t>(found.size()), k);
    std::partial_sort(found.begin(), found.begin() + n_found, found.end());
    for (std::int64_t j = 0; j < n_found; ++j) nearest[j] = BeamEntry::node(found[j]);
  });
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
double Graph::true_distance(const float* query, double query_norm, const GraphRows& rows,
                            std::int64_t slot) const {
  const float* row = rows.vectors + slot * settings_.dim;
  if (settings_.metric == Metric::l2) return kernels_.squared_distance(query, row, settings_.dim);
  const double dot = kernels_.dot_product(query, row, settings_.dim);
  if (settings_.metric == Metric::ip) return -dot;
  const double norms = query_norm * rows.norms[slot];
  return norms == 0.0 ? 1.0 : std::max(1.0 - dot / norms, 0.0);
}

std::int64_t Graph::search_rows(const float* queries, std::int64_t n, std::int64_t k,
                                std::int64_t effort, const GraphRows& rows, std::int64_t n_wanted,
                                int threads, std::int64_t* ids, float* distances) const {
  const auto width = static_cast<int>(std::min(std::max(effort, k), size()));
  std::atomic<std::int64_t> n_lacking{0};
  ThreadPool::instance().run(n, threads, [&](std::int64_t i) {
    SearchScratch& scratch = SearchScratch::of_this_thread();
    const float* query = queries + i * settings_.dim;
    prepare(query, scratch);
    walk(scratch, width);
    auto& found = scratch.found;
    if (static_cast<std::int64_t>(found.size()) > k) {
      std::nth_element(found.begin(), found.begin() + (k - 1), found.end());
      const float last = last_key(scratch, k);
      const auto end = std::remove_if(found.begin() + k, found.end(), [last](std::uint64_t entry) {
        return BeamEntry::key(entry) > last;
      });
      found.erase(end, found.end());
    }
    auto& answers = scratch.answers;
    answers.clear();
    for (const std::uint64_t entry : found) {
      const std::int64_t slot = rows.slots[BeamEntry::node(entry)];
      answers.push_back({0.0, rows.ids[slot], slot});
      const auto* row = reinterpret_cast<const char*>(rows.vectors + slot * settings_.dim);
      for (std::int64_t at = 0; at < settings_.dim * 4; at += 64) {
        __builtin_prefetch(row + at, 0, 3);
      }
    }
    for (Answer& answer : answers) {
      answer.distance = true_distance(query, scratch.norm, rows, answer.slot);
    }
    const auto n_found = std::min(static_cast<std::int64_t>(answers.size()), k);
    std::partial_sort(answers.begin(), answers.begin() + n_found, answers.end());
    for (std::int64_t j = 0; j < n_found; ++j) {
      ids[i * k + j] = answers[static_cast<std::size_t>(j)].id;
      distances[i * k + j] = static_cast<float>(answers[static_cast<std::size_t>(j)].distance);
    }
    std::fill(ids + i * k + n_found, ids + (i + 1) * k, -1);
    std::fill(distances + i * k + n_found, distances + (i + 1) * k,
              std::numeric_limits<float>::infinity());
    if (n_found < n_wanted) ++n_lacking;
  });
  return n_lacking;
}

}  // namespace paradox
