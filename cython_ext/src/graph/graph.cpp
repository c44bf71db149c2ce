#include "paradox/graph/graph.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "paradox/graph/bulk_build.hpp"
#include "paradox/graph/bypass.hpp"
#include "paradox/graph/directions.hpp"
#include "paradox/graph/edge_codes.hpp"
#include "paradox/graph/insertion.hpp"
#include "paradox/graph/random.hpp"

namespace paradox {
namespace {

constexpr std::uint32_t kMostEntries = 1024;

/// Inner product, uneven norms: but for one of so many, entries are among this part of the nodes,
/// the longest. Among clusters 0.90 of the ten nearest are found at effort 20, and 0.80 without.
constexpr std::uint32_t kFewEntries = 5, kLongestShare = 50;

/// Removed nodes that searches may pass over: so many, or a share of the others.
constexpr std::int64_t kLeastInTheWay = 64, kShareInTheWay = 10;

/// The origin is chosen anew, and with it the graph made, once there are so many times as many
/// vectors; with more than so many that is left.
constexpr std::int64_t kGrowth = 8, kMostAnew = 16384;

/// Inner product: room for norms to grow before the graph has to be made anew.
constexpr double kHeadroom = 1.1;

/// Fewer vectors than this, or than this share of those there are, are not worth a bulk build: for
/// each vector it takes some third of the time of an insertion, but of all of them.
constexpr std::int64_t kBulkVectors = 2048, kBulkShare = 2;

/// Exchanges most entries for some of the longest nodes.
void take_some_of(const std::vector<std::uint32_t>& longest, Random& random,
                  std::vector<std::uint32_t>* entries) {
  const auto n = static_cast<std::uint32_t>(entries->size());
  const auto n_longest = static_cast<std::uint32_t>(longest.size());
  const std::vector<std::uint32_t> taken = sample(n_longest, n - n / kFewEntries, random);
  entries->resize(n - taken.size());
  for (const std::uint32_t at : taken) entries->push_back(longest[at]);
  std::sort(entries->begin(), entries->end());
  entries->erase(std::unique(entries->begin(), entries->end()), entries->end());
}

}  // namespace

Graph::Graph(const GraphSettings& settings, const GraphKernels& kernels)
    : settings_(settings),
      kernels_(kernels),
      layout_(rotated_dim(lengthened_dim(settings.dim, settings.metric), settings.is_compact),
              settings.degree, settings.is_compact),
      rotation_(lengthened_dim(settings.dim, settings.metric), layout_.dim, settings.seed),
      nodes_(layout_),
      sketch_(layout_.dim) {}

float Graph::distance(std::uint32_t a, std::uint32_t b) const {
  const Node x = nodes_[a], y = nodes_[b];
  return distance(x.header(), y.header(), kernels_.dot_i8i8(x.vector(), y.vector(), layout_.dim));
}

void Graph::products(std::uint32_t node, const std::uint32_t* others, std::size_t n,
                     std::int32_t* out) const {
  constexpr std::size_t kTogether = 4;  // the next so many are on their way from memory
  const std::int8_t* vectors[kTogether];
  const std::int8_t* its = nodes_[node].vector();
  for (std::size_t i = 0; i < std::min(n, kTogether); ++i) nodes_.prefetch_vector(others[i]);
  for (std::size_t begin = 0; begin < n; begin += kTogether) {
    const std::size_t end = std::min(begin + kTogether, n);
    for (std::size_t i = begin; i < end; ++i) vectors[i - begin] = nodes_[others[i]].vector();
    for (std::size_t i = end; i < std::min(end + kTogether, n); ++i) {
      nodes_.prefetch_vector(others[i]);
    }
    kernels_.dots_1xn(its, vectors, static_cast<int>(end - begin), layout_.dim, out + begin);
  }
}

float Graph::distance(const NodeHeader& x, const NodeHeader& y, std::int32_t dot) {
  const float product = 2.0f * (x.scale * y.scale) * static_cast<float>(dot);
  return std::max(x.squares + y.squares - product, 0.0f);
}

void Graph::add(const float* vectors, std::int64_t n, int threads) {
  if (n == 0) return;
  if (state_.origin.empty()) choose_origin(vectors, n);
  const std::int64_t before = size();
  const std::int64_t chosen_before = state_.n_at_choice;
  if (before + n > kMaxNodes) throw std::overflow_error("a graph has at most 2^30 nodes");
  const bool is_bulk = this->is_bulk(n);
  nodes_.grow(n);
  state_.n_at_origin = std::min(state_.n_at_origin, size());  // another graph's may have been more
  for_each(n, 256, threads, [&](std::int64_t i) {
    store(static_cast<std::uint32_t>(before + i), vectors + i * settings_.dim,
          SearchScratch::of_this_thread());
  });
  if (is_product()) {
    for (std::int64_t i = before; i < size(); ++i) {
      const float squares = nodes_[static_cast<std::uint32_t>(i)].header().squares;
      longest_seen_ = std::max(longest_seen_, std::sqrt(squares));
    }
  }
  if (is_bulk) {
    forget_guardians();
    BulkBuild(*this, threads).run();
    state_.n_bypassed = 0;  // all were linked again, removed ones too
  } else {
    Insertion(*this, threads).run(static_cast<std::uint32_t>(before));
  }
  sketch(static_cast<std::uint32_t>(before), threads);
  if (n_connected_ == before) n_connected_ = size();
  if (state_.n_at_choice != chosen_before) measure_dimension(threads);
}

bool Graph::is_bulk(std::int64_t n) const { return n >= kBulkVectors && kBulkShare * n >= size(); }

void Graph::remove(const std::int64_t* nodes, std::int64_t n, std::uint32_t seq) {
  std::int64_t& n_fresh = unsettled_.emplace_back(seq, 0).second;  // first, as it may throw
  for (std::int64_t i = 0; i < n; ++i) {
    NodeHeader& header = nodes_[static_cast<std::uint32_t>(nodes[i])].header();
    if (header.is_removed()) continue;
    poke_word(header.removed_at, seq);
    ++n_fresh;
  }
  n_removed_ += n_fresh;
}

bool Graph::bypass(std::uint32_t seq, int threads) {
  for (; !unsettled_.empty() && unsettled_.front().first <= seq; unsettled_.pop_front()) {
    n_settled_ += unsettled_.front().second;
  }
  const std::int64_t n_live = size() - n_removed_, n_in_the_way = n_settled_ - state_.n_bypassed;
  if (n_in_the_way <= std::max(kLeastInTheWay, n_live / kShareInTheWay)) return false;
  if (n_live > 0) Bypass(*this, seq, threads).run();
  state_.n_bypassed = n_settled_;
  return true;
}

bool Graph::is_outgrown() const {
  constexpr float kTolerance = 1.02f;  // int8 vectors are not as long as theirs to the last bit
  return longest_seen_ > kTolerance * state_.longest ||
         (size() <= kMostAnew && size() >= kGrowth * state_.n_at_origin);
}

double Graph::unit_scale(const float* vector) const {
  if (settings_.metric != Metric::cosine) return 1.0;
  const double length = norm(vector, settings_.dim);
  return length > 0.0 ? 1.0 / length : 0.0;
}

/// The mean of the first vectors: int8 steps are then spent on what differs between vectors.
void Graph::choose_origin(const float* vectors, std::int64_t n) {
  const int dim = settings_.dim;
  state_.n_at_origin = n;
  std::vector<double> sums(static_cast<std::size_t>(dim));
  for (std::int64_t i = 0; i < n; ++i) {
    const float* vector = vectors + i * dim;
    const double scale = unit_scale(vector);
    for (int j = 0; j < dim; ++j) sums[j] += scale * vector[j];
  }
  state_.origin.resize(sums.size());
  for (std::size_t j = 0; j < sums.size(); ++j) {
    state_.origin[j] = static_cast<float>(sums[j] / static_cast<double>(n));
  }
  if (!is_product()) return;
  for (std::int64_t i = 0; i < n; ++i) {
    const double length =
        std::sqrt(kernels_.squared_distance(vectors + i * dim, state_.origin.data(), dim));
    state_.longest = std::max(state_.longest, static_cast<float>(kHeadroom * length));
  }
}

/// Under inner product every vector is lengthened, in a dimension of its own, to one length: the
/// nearest are then those of the greatest product (Bachrach et al., RecSys 2014).
void Graph::store(std::uint32_t node, const float* vector, SearchScratch& scratch) {
  const int dim = settings_.dim;
  float* input = at_least(scratch.input, dim + 1);
  const double unit = unit_scale(vector);
  for (int j = 0; j < dim; ++j) input[j] = static_cast<float>(unit * vector[j] - state_.origin[j]);
  if (is_product()) {
    const double squares = kernels_.dot_product(input, input, dim);
    input[dim] = static_cast<float>(
        std::sqrt(std::max(double{state_.longest} * state_.longest - squares, 0.0)));
  }
  float* rotated = at_least(scratch.rotated, layout_.dim);
  rotation_.apply(kernels_, input, rotated);
  const float greatest = kernels_.extremes(rotated, layout_.dim).value;
  const Node target = nodes_[node];
  NodeHeader& header = target.header();
  header.guardian = node;
  header.scale = greatest / 127.0f;
  const float inverse =
      greatest > 0.0f ? std::min(127.0f / greatest, std::numeric_limits<float>::max()) : 0.0f;
  std::int16_t* steps = at_least(scratch.values, layout_.dim);
  kernels_.to_int16(rotated, layout_.dim, inverse, steps);
  std::int32_t sum = 0;
  for (int j = 0; j < layout_.dim; ++j) {
    const int value = std::clamp<int>(steps[j], -127, 127);  // one step more by rounding
    target.vector()[j] = static_cast<std::int8_t>(value);
    sum += value * value;
  }
  header.squares = header.scale * header.scale * static_cast<float>(sum);
  header.term = is_product() ? 0.0f : header.squares;
}

void Graph::choose_entries(std::uint32_t n, int threads) {
  state_.n_at_choice = n;
  const auto wanted = static_cast<std::uint32_t>(4.0 * std::sqrt(static_cast<double>(n)));
  Random random(settings_.seed + 1);
  state_.entries =
      sample(n, std::min(std::max(wanted, std::uint32_t{kEdgeBlock}), kMostEntries), random);
  if (is_product()) {
    const Directions directions(*this, n, threads);
    if (directions.are_uneven())
      take_some_of(directions.longest(kLongestShare), random, &state_.entries);
  }
  const auto is_removed = [this](std::uint32_t node) { return nodes_[node].header().is_removed(); };
  if (!std::all_of(state_.entries.begin(), state_.entries.end(), is_removed)) {
    state_.entries.erase(std::remove_if(state_.entries.begin(), state_.entries.end(), is_removed),
                         state_.entries.end());
  }
  encode_entries();
}

void Graph::encode_entries() {
  const auto made = std::make_shared<Entries>();
  const auto& entries = made->nodes = state_.entries;
  const std::size_t n_places = (entries.size() + kEdgeBlock - 1) / kEdgeBlock * kEdgeBlock;
  std::vector<float> offsets(n_places), slopes(n_places);
  made->codes.assign(n_places / 8 * static_cast<std::size_t>(entry_dim()), 0);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    std::uint8_t* codes = made->codes.data() + i / kEdgeBlock * kEdgeBlock / 8 * entry_dim();
    const EdgeFactors factors =
        encode_vector(entries[i], entry_dim(), static_cast<int>(i % kEdgeBlock), codes);
    offsets[i] = factors.offset;
    slopes[i] = factors.slope;
  }
  made->offsets.resize(n_places);
  made->slopes.resize(n_places);
  made->offset_scale = write_scaled(offsets, made->offsets.data());
  made->slope_scale = write_scaled(slopes, made->slopes.data());
  entries_ = made;
}

void Graph::begin_as(const Graph& other) {
  state_.origin = other.state_.origin;
  state_.longest = other.state_.longest;
  state_.n_at_origin = other.state_.n_at_origin;
}

void Graph::decode(const std::int64_t* nodes, std::int64_t n, float* out, int threads) const {
  for_each(n, 256, threads, [&](std::int64_t i) {
    const Int8Vector kept = vector(static_cast<std::uint32_t>(nodes[i]));
    float* row = at_least(SearchScratch::of_this_thread().row, layout_.dim);
    for (int j = 0; j < layout_.dim; ++j) row[j] = kept.scale * static_cast<float>(kept.values[j]);
    rotation_.invert(kernels_, row);
    for (int j = 0; j < settings_.dim; ++j) out[i * settings_.dim + j] = row[j] + state_.origin[j];
  });
}

}  // namespace paradox
