#include "paradox/graph/graph.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "paradox/graph/bulk_build.hpp"
#include "paradox/graph/bypass.hpp"
#include "paradox/graph/edge_codes.hpp"
#include "paradox/graph/insertion.hpp"
#include "paradox/graph/random.hpp"

namespace paradox {
namespace {

/// A neighbour is left out where one kept before is so much nearer to it than the node is, in
/// squared distances. Token embeddings, among which hubs are near to all, want 1.0 to 1.07 (1.15
/// finds 0.90 of the ten nearest where 1.04 finds 0.94); texts, words and manifolds differ little.
constexpr float kSlack = 1.05f;

constexpr std::uint32_t kMostEntries = 1024;

/// Removed nodes that searches may pass over: so many, or a share of the others.
constexpr std::int64_t kLeastInTheWay = 64, kShareInTheWay = 10;

/// Of a node's edges this part at most leads to wards.
constexpr int kWardShare = 4;

/// So many vectors ahead are asked for when distances to many are computed.
constexpr int kAhead = 3;

/// The origin is chosen anew, and with it the graph made, once there are so many times as many
/// vectors; with more than so many that is left.
constexpr std::int64_t kGrowth = 8, kMostAnew = 16384;

/// Inner product: room for norms to grow before the graph has to be made anew.
constexpr double kHeadroom = 1.1;

/// Fewer vectors than this, or than this share of those there are, are not worth a bulk build: for
/// each vector it takes some third of the time of an insertion, but of all of them.
constexpr std::int64_t kBulkVectors = 2048, kBulkShare = 2;

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
  const float dot = static_cast<float>(kernels_.dot_i8i8(x.vector(), y.vector(), layout_.dim));
  const float distance =
      x.header().squares + y.header().squares - 2.0f * (x.header().scale * y.header().scale) * dot;
  return std::max(distance, 0.0f);
}

void Graph::add(const float* vectors, std::int64_t n, int threads) {
  if (n == 0) return;
  if (state_.origin.empty()) choose_origin(vectors, n);
  const std::int64_t before = size();
  const std::int64_t chosen_before = state_.n_at_choice;
  if (before + n > kMaxNodes) throw std::overflow_error("a graph has at most 2^31 nodes");
  const bool is_bulk = this->is_bulk(n);
  nodes_.grow(n);
  state_.n_at_origin = std::min(state_.n_at_origin, size());  // another graph's may have been more
  forget_guardians(static_cast<std::uint32_t>(before));
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
    forget_guardians(0);
    BulkBuild(*this, threads).run();
  } else {
    Insertion(*this, threads).run(static_cast<std::uint32_t>(before));
  }
  sketch(static_cast<std::uint32_t>(before), threads);
  if (n_connected_ == before) n_connected_ = size();
  if (state_.n_at_choice != chosen_before) measure_dimension(threads);
}

bool Graph::is_bulk(std::int64_t n) const { return n >= kBulkVectors && kBulkShare * n >= size(); }

void Graph::remove(const std::int64_t* nodes, std::int64_t n, std::uint32_t seq) {
  std::int64_t n_fresh = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    NodeHeader& header = nodes_[static_cast<std::uint32_t>(nodes[i])].header();
    if (header.is_removed()) continue;
    poke_word(header.removed_at, seq);
    ++n_fresh;
  }
  unsettled_.emplace_back(seq, n_fresh);
  poke_word(n_removed_, n_removed_ + n_fresh);
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
  float greatest = 0.0f;
  for (int j = 0; j < layout_.dim; ++j) greatest = std::max(greatest, std::fabs(rotated[j]));
  const Node target = nodes_[node];
  NodeHeader& header = target.header();
  header.scale = greatest / 127.0f;
  const float inverse = greatest > 0.0f ? 127.0f / greatest : 0.0f;
  std::int64_t sum = 0;
  for (int j = 0; j < layout_.dim; ++j) {
    const long value = std::lrint(std::clamp(rotated[j] * inverse, -127.0f, 127.0f));
    target.vector()[j] = static_cast<std::int8_t>(value);
    sum += value * value;
  }
  header.squares = header.scale * header.scale * static_cast<float>(sum);
  header.term = is_product() ? 0.0f : header.squares;
}

Graph::EdgeFactors Graph::encode_edge(std::uint32_t node, int edge) const {
  std::uint8_t* signs = at_least(SearchScratch::of_this_thread().residual_signs, layout_.dim / 8);
  const Node target = nodes_[node];
  const std::uint32_t neighbour = target.neighbours()[edge];
  const Node other = nodes_[neighbour];
  const NodeHeader &header = target.header(), &theirs = other.header();
  Residual residual{signs, 0.0f, 0.0f};
  kernels_.residual(vector(node), vector(neighbour), layout_.dim, &residual);
  spread(signs, layout_.dim, edge % kEdgeBlock, target.codes(edge / kEdgeBlock));
  const float dot =
      header.scale * theirs.scale *
      static_cast<float>(kernels_.dot_i8i8(target.vector(), other.vector(), layout_.dim));
  const float squares = std::max(header.squares + theirs.squares - 2.0f * dot, 0.0f);
  const float factor = residual.absolute > 0.0f ? squares / residual.absolute : 0.0f;
  return {theirs.term - header.term - 2.0f * (dot - header.squares) +
              2.0f * factor * residual.node_by_sign,
          2.0f * factor};
}

void Graph::connect(std::uint32_t node, const std::vector<std::uint32_t>& neighbours,
                    std::size_t n_chosen) {
  const auto n = static_cast<int>(neighbours.size());
  const Node target = nodes_[node];
  NodeHeader& header = target.header();
  poke_word(header.n_edges, n);
  for (int edge = 0; edge < layout_.degree; ++edge) {
    header.set_chosen(edge, edge < static_cast<int>(n_chosen));
    store_word(target.neighbours()[edge], edge < n ? neighbours[edge] : node);
  }
  encode_edges(node);
}

void Graph::encode_edges(std::uint32_t node) {
  if (layout_.is_compact) return;
  std::vector<float> offsets(layout_.degree), slopes(layout_.degree);
  const Node target = nodes_[node];
  for (int edge = 0; edge < target.header().n_edges; ++edge) {
    const EdgeFactors factors = encode_edge(node, edge);
    offsets[edge] = factors.offset;
    slopes[edge] = factors.slope;
  }
  const float scale = write_scaled(offsets, slopes, target.offsets(), target.slopes());
  poke_word(target.header().factor_scale, scale);
}

void Graph::set_edge(std::uint32_t node, int edge, std::uint32_t neighbour, bool is_chosen) {
  const Node target = nodes_[node];
  NodeHeader& header = target.header();
  header.set_chosen(edge, is_chosen);
  const int n_edges = std::max(header.n_edges, edge + 1);
  store_word(target.neighbours()[edge], neighbour);
  if (layout_.is_compact) {
    poke_word(header.n_edges, n_edges);
    return;
  }
  const EdgeFactors factors = encode_edge(node, edge);
  const float greatest = std::max(std::fabs(factors.offset), std::fabs(factors.slope));
  if (greatest > header.factor_scale) {  // all have to be scaled anew
    poke_word(header.n_edges, n_edges);
    encode_edges(node);
    return;
  }
  const float inverse = greatest > 0.0f ? 1.0f / header.factor_scale : 0.0f;
  target.offsets()[edge] = to_half(factors.offset * inverse);
  target.slopes()[edge] = to_half(factors.slope * inverse);
  poke_word(header.n_edges, n_edges);
}

/// What `prune` would do with one candidate more, except that an edge left out stays so when the
/// new edge covers the one it was left out for: so one distance to each edge is enough.
void Graph::offer_edge(std::uint32_t node, std::uint32_t neighbour) {
  const Node target = nodes_[node];
  NodeHeader& header = target.header();
  const int n_edges = header.n_edges;
  const std::uint32_t* edges = target.neighbours();
  const float away = distance(node, neighbour);
  const bool is_kept = is_ward(neighbour, node);
  bool is_covered = false;
  float theirs[kMostEdges], between[kMostEdges];
  for (int edge = 0; edge < std::min(kAhead, n_edges); ++edge) nodes_.prefetch_vector(edges[edge]);
  for (int edge = 0; edge < n_edges; ++edge) {
    if (edges[edge] == neighbour) return;
    if (edge + kAhead < n_edges) nodes_.prefetch_vector(edges[edge + kAhead]);
    theirs[edge] = distance(node, edges[edge]);
    if (!header.is_chosen(edge)) continue;
    between[edge] = kSlack * distance(neighbour, edges[edge]);
    is_covered = is_covered || (theirs[edge] < away && between[edge] < away);
  }
  const bool is_chosen = is_kept || !is_covered;
  int spare = -1, last = -1;  // the farthest edges whose place it may take: of the others, of all
  for (int edge = 0; edge < n_edges; ++edge) {
    if (is_ward(edges[edge], node)) continue;
    if (is_chosen && header.is_chosen(edge) && away <= theirs[edge] && between[edge] < theirs[edge])
      header.set_chosen(edge, false);
    int& farthest = header.is_chosen(edge) ? last : spare;
    if (farthest < 0 || theirs[edge] > theirs[farthest]) farthest = edge;
  }
  if (n_edges < layout_.degree) {
    set_edge(node, n_edges, neighbour, is_chosen);
  } else if (spare >= 0 && (is_chosen || away < theirs[spare])) {
    set_edge(node, spare, neighbour, is_chosen);
  } else if (last >= 0 && (is_kept || (is_chosen && away < theirs[last]))) {
    set_edge(node, last, neighbour, true);
  }
}

std::vector<std::uint32_t> Graph::neighbours_of(std::uint32_t node) const {
  const Node target = nodes_[node];
  return {target.neighbours(), target.neighbours() + target.header().n_edges};
}

std::vector<Neighbour> Graph::by_distance(std::uint32_t node,
                                          std::vector<std::uint32_t> others) const {
  std::sort(others.begin(), others.end());
  others.erase(std::unique(others.begin(), others.end()), others.end());
  std::vector<Neighbour> near;
  near.reserve(others.size());
  for (std::size_t i = 0; i < others.size(); ++i) {
    if (i + kAhead < others.size()) nodes_.prefetch_vector(others[i + kAhead]);
    if (others[i] != node) near.push_back({distance(node, others[i]), others[i]});
  }
  std::sort(near.begin(), near.end(), Nearer{node});
  return near;
}

std::size_t Graph::prune(std::uint32_t node, const std::vector<Neighbour>& nearest,
                         std::vector<std::uint32_t>* kept) const {
  const auto degree = static_cast<std::size_t>(layout_.degree);
  kept->clear();
  std::vector<std::uint32_t> left_out;
  auto n_wards = static_cast<std::size_t>(
      std::count_if(nearest.begin(), nearest.end(),
                    [&](const Neighbour& candidate) { return is_ward(candidate.node, node); }));
  for (const Neighbour& candidate : nearest) {
    if (kept->size() == degree) return degree;
    if (n_wards > 0 && is_ward(candidate.node, node)) {
      kept->push_back(candidate.node);
      --n_wards;
      continue;
    }
    const auto is_nearer = [&](std::uint32_t other) {
      return kSlack * distance(other, candidate.node) < candidate.distance;
    };
    const bool covered =
        kept->size() + n_wards == degree || std::any_of(kept->begin(), kept->end(), is_nearer);
    (covered ? &left_out : kept)->push_back(candidate.node);
  }
  const std::size_t n_chosen = kept->size();
  const std::size_t n_more = std::min(left_out.size(), degree - n_chosen);
  kept->insert(kept->end(), left_out.begin(),
               left_out.begin() + static_cast<std::ptrdiff_t>(n_more));
  return n_chosen;
}

bool Graph::has_room(std::uint32_t guardian) const {
  return nodes_[guardian].header().n_wards < layout_.degree / kWardShare;
}

bool Graph::guard(std::uint32_t guardian, std::uint32_t ward) {
  if (!has_room(guardian)) return false;
  ++nodes_[guardian].header().n_wards;
  nodes_[ward].header().guardian = guardian;
  return true;
}

void Graph::forget_guardians(std::uint32_t begin) {
  for (std::uint32_t node = begin; node < size(); ++node) {
    nodes_[node].header().guardian = node;
    nodes_[node].header().n_wards = 0;
  }
}

bool Graph::has_edge(std::uint32_t parent, std::uint32_t child) const {
  const Node node = nodes_[parent];
  const std::uint32_t* end = node.neighbours() + node.header().n_edges;
  return std::find<const std::uint32_t*>(node.neighbours(), end, child) != end;
}

void Graph::adopt_if_orphan(std::uint32_t node) {
  const Node orphan = nodes_[node];
  const int n_edges = orphan.header().n_edges;
  for (int edge = 0; edge < n_edges; ++edge) {
    if (has_edge(orphan.neighbours()[edge], node)) return;
  }
  if (n_edges > 0) adopt(orphan.neighbours()[0], node);  // the nearest
}

void Graph::adopt(std::uint32_t parent, std::uint32_t child) {
  const Node node = nodes_[parent];
  const NodeHeader& header = node.header();
  const std::uint32_t* edges = node.neighbours();
  if (has_edge(parent, child)) return;
  if (header.n_edges < layout_.degree) {
    set_edge(parent, header.n_edges, child, true);
    return;
  }
  const int begin = static_cast<int>(Random(child).below(layout_.degree));  // not always the same
  int given_up = -1;
  for (int i = 0; i < layout_.degree && (given_up < 0 || header.is_chosen(given_up)); ++i) {
    const int edge = (begin + i) % layout_.degree;
    const bool is_better = given_up < 0 || !header.is_chosen(edge);
    if (is_better && !is_ward(edges[edge], parent)) given_up = edge;
  }
  if (given_up >= 0) set_edge(parent, given_up, child, true);
}

void Graph::choose_entries(std::uint32_t n) {
  state_.n_at_choice = n;
  const auto wanted = static_cast<std::uint32_t>(4.0 * std::sqrt(static_cast<double>(n)));
  Random random(settings_.seed + 1);
  state_.entries =
      sample(n, std::min(std::max(wanted, std::uint32_t{kEdgeBlock}), kMostEntries), random);
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
  std::vector<std::uint8_t> signs(entry_dim() / 8);
  const AlignedVector<std::int8_t> zeros(entry_dim());
  made->codes.assign(n_places / 8 * static_cast<std::size_t>(entry_dim()), 0);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const NodeHeader& header = nodes_[entries[i]].header();
    Residual residual{signs.data(), 0.0f, 0.0f};
    kernels_.residual({zeros.data(), 0.0f}, vector(entries[i]), entry_dim(), &residual);
    spread(signs.data(), entry_dim(), static_cast<int>(i % kEdgeBlock),
           made->codes.data() + i / kEdgeBlock * kEdgeBlock / 8 * entry_dim());
    slopes[i] = residual.absolute > 0.0f ? 2.0f * header.squares / residual.absolute : 0.0f;
    offsets[i] = header.term;
  }
  made->offsets.resize(n_places);
  made->slopes.resize(n_places);
  made->scale = write_scaled(offsets, slopes, made->offsets.data(), made->slopes.data());
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

/// Of a removal a file keeps that there was one: it is then before all that is searched.
void Graph::save_nodes(std::uint8_t* out) const {
  for (std::int64_t i = 0; i < size(); ++i) {
    std::uint8_t* to = out + i * layout_.stride;
    std::memcpy(to, nodes_[static_cast<std::uint32_t>(i)].data(),
                static_cast<std::size_t>(layout_.stride));
    auto& header = *reinterpret_cast<NodeHeader*>(to);
    header.removed_at = header.is_removed() ? 1 : 0;
  }
}

bool Graph::may_be(const GraphState& state, std::int64_t n) const {
  const auto is_node = [n](std::uint32_t node) { return node < n; };
  const auto is_length = [](float value) { return is_kept_length(std::fabs(value)); };
  const auto is_count = [n](std::int64_t value, std::int64_t least) {
    return value >= least && value <= n;
  };
  std::vector<std::uint32_t> entries = state.entries;
  std::sort(entries.begin(), entries.end());
  return state.origin.size() == static_cast<std::size_t>(settings_.dim) &&
         std::all_of(state.origin.begin(), state.origin.end(), is_length) && !entries.empty() &&
         std::all_of(entries.begin(), entries.end(), is_node) &&
         std::adjacent_find(entries.begin(), entries.end()) == entries.end() &&
         is_kept_length(state.longest) &&
         (state.dimension == 0.0f ||
          (state.dimension >= kLeastDimension && state.dimension <= kMostDimension)) &&
         is_count(state.n_at_origin, 1) && is_count(state.n_at_choice, 1) &&
         is_count(state.n_at_join, 0) && is_count(state.n_bypassed, 0);
}

bool Graph::may_be(const Node& node, std::int64_t n) const {
  const auto is_node = [n](std::uint32_t other) { return other < n; };
  const NodeHeader& header = node.header();
  if (!std::all_of(node.neighbours(), node.neighbours() + layout_.degree, is_node) ||
      header.n_edges < 0 || header.n_edges > layout_.degree || !is_node(header.guardian) ||
      header.n_wards < 0 || header.n_wards > layout_.degree / kWardShare || header.removed_at > 1) {
    return false;
  }
  constexpr int kNoStep = 0x80;  // -128: products of it would not fit their sums
  if (!is_kept_length(header.scale) || !(header.factor_scale >= 0.0f) ||
      std::memchr(node.vector(), kNoStep, static_cast<std::size_t>(layout_.dim)) != nullptr) {
    return false;
  }
  const auto sum = static_cast<float>(kernels_.dot_i8i8(node.vector(), node.vector(), layout_.dim));
  const float squares = header.scale * header.scale * sum;  // as `store` has it
  return squares <= kMostKeptLength * kMostKeptLength && header.squares == squares &&
         header.term == (is_product() ? 0.0f : squares);
}

bool Graph::restore(const std::uint8_t* nodes, std::int64_t n, const GraphState& state) {
  if (n > kMaxNodes || !may_be(state, n)) return false;
  nodes_.grow(n);
  for (std::int64_t i = 0; i < n; ++i) {
    const Node node = nodes_[static_cast<std::uint32_t>(i)];
    const NodeHeader& header = node.header();
    std::memcpy(&node.header(), nodes + i * layout_.stride,
                static_cast<std::size_t>(layout_.stride));
    if (!may_be(node, n)) return false;
    n_removed_ += header.removed_at;
    if (is_product()) longest_seen_ = std::max(longest_seen_, std::sqrt(header.squares));
  }
  if (state.n_bypassed > n_removed_) return false;
  n_settled_ = n_removed_;
  n_connected_ = n;
  state_ = state;
  encode_entries();
  sketch(0, 1);
  return true;
}

}  // namespace paradox
