#include <algorithm>
#include <cmath>

#include "paradox/graph/edge_codes.hpp"
#include "paradox/graph/graph.hpp"
#include "paradox/graph/random.hpp"
#include "paradox/half.hpp"

namespace paradox {
namespace {

/// A neighbour is left out where one kept before is so much nearer to it than the node is, in
/// squared distances. Token embeddings, among which hubs are near to all, want 1.0 to 1.07 (1.15
/// finds 0.90 of the ten nearest where 1.04 finds 0.94); texts, words and manifolds differ little.
constexpr float kSlack = 1.05f;

/// So many vectors ahead are asked for when distances to many are computed.
constexpr int kAhead = 3;

}  // namespace

Graph::EdgeFactors Graph::encode_edge(std::uint32_t node, int edge) const {
  std::uint8_t* signs = at_least(SearchScratch::of_this_thread().residual_signs, layout_.dim / 8);
  const Node target = nodes_[node];
  const std::uint32_t neighbour = target.neighbours()[edge];
  const std::int32_t product =
      kernels_.dot_i8i8(target.vector(), nodes_[neighbour].vector(), layout_.dim);
  const EdgeFactors factors = code_of_edge(node, neighbour, product, signs);
  spread(signs, layout_.dim, edge % kEdgeBlock, target.codes(edge / kEdgeBlock));
  return factors;
}

Graph::EdgeFactors Graph::code_of_edge(std::uint32_t node, std::uint32_t neighbour,
                                       std::int32_t product, std::uint8_t* signs) const {
  const NodeHeader &header = nodes_[node].header(), &theirs = nodes_[neighbour].header();
  Residual residual{signs, 0.0f, 0.0f};
  kernels_.residual(vector(node), vector(neighbour), layout_.dim, &residual);
  const float dot = header.scale * theirs.scale * static_cast<float>(product);
  const float squares = std::max(header.squares + theirs.squares - 2.0f * dot, 0.0f);
  const float factor = residual.absolute > 0.0f ? squares / residual.absolute : 0.0f;
  return {theirs.term - header.term - 2.0f * (dot - header.squares) +
              2.0f * factor * residual.node_by_sign,
          2.0f * factor};
}

Graph::EdgeFactors Graph::encode_vector(std::uint32_t node, int dim, int edge,
                                        std::uint8_t* codes) const {
  std::uint8_t* signs = at_least(SearchScratch::of_this_thread().residual_signs, dim / 8);
  const Int8Vector its = vector(node);
  Residual residual{signs, 0.0f, 0.0f};
  kernels_.residual({its.values, 0.0f}, its, dim, &residual);  // by a scale of 0 all are the origin
  spread(signs, dim, edge, codes);
  const NodeHeader& header = nodes_[node].header();
  const float slope = residual.absolute > 0.0f ? 2.0f * header.squares / residual.absolute : 0.0f;
  return {header.term, slope};
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
  EdgeFactors factors[kMostEdges] = {};
  float greatest_offset = 0.0f, greatest_slope = 0.0f;
  const Node target = nodes_[node];
  NodeHeader& header = target.header();
  const int n_edges = header.n_edges, n_bytes = layout_.dim / 8;
  std::int32_t dots[kMostEdges];
  products(node, target.neighbours(), static_cast<std::size_t>(n_edges), dots);
  SearchScratch& scratch = SearchScratch::of_this_thread();
  std::uint8_t* signs = at_least(scratch.residual_signs, n_bytes);
  std::uint8_t* by_byte = at_least(scratch.block_signs, n_bytes * kEdgeBlock);
  for (int edge = 0; edge < n_edges; ++edge) {
    factors[edge] = code_of_edge(node, target.neighbours()[edge], dots[edge], signs);
    greatest_offset = std::max(greatest_offset, std::fabs(factors[edge].offset));
    greatest_slope = std::max(greatest_slope, factors[edge].slope);
    const int block = edge / kEdgeBlock, place = edge % kEdgeBlock;
    if ((block + 1) * kEdgeBlock > n_edges) {
      spread(signs, layout_.dim, place, target.codes(block));
      continue;
    }
    for (int j = 0; j < n_bytes; ++j) by_byte[j * kEdgeBlock + place] = signs[j];
    if (place == kEdgeBlock - 1) spread_all(by_byte, layout_.dim, target.codes(block));
  }
  const FactorScales scales = FactorScales::up_to(greatest_offset, greatest_slope);
  for (int edge = 0; edge < layout_.degree; ++edge) {
    target.offsets()[edge] = scales.kept_offset(factors[edge].offset);
    target.slopes()[edge] = scales.kept_slope(factors[edge].slope);
  }
  poke_word(header.offset_scale, scales.offset);
  poke_word(header.slope_scale, scales.slope);
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
  const FactorScales scales{header.offset_scale, header.slope_scale};
  const bool fit = scales.reach(factors.offset, factors.slope);
  if (fit) {
    target.offsets()[edge] = scales.kept_offset(factors.offset);
    target.slopes()[edge] = scales.kept_slope(factors.slope);
  }
  poke_word(header.n_edges, n_edges);
  if (!fit || scales.are_too_great(target.offsets(), target.slopes(), n_edges)) encode_edges(node);
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
                                          std::vector<std::uint32_t>& others) const {
  std::sort(others.begin(), others.end());
  others.erase(std::unique(others.begin(), others.end()), others.end());
  std::vector<Neighbour> near = with_distances(node, others);
  std::sort(near.begin(), near.end(), Nearer{node});
  return near;
}

std::vector<Neighbour> Graph::with_distances(std::uint32_t node,
                                             const std::vector<std::uint32_t>& others) const {
  std::vector<std::int32_t> dots(others.size());
  products(node, others.data(), others.size(), dots.data());
  std::vector<Neighbour> result;
  result.reserve(others.size());
  const NodeHeader& header = nodes_[node].header();
  for (std::size_t i = 0; i < others.size(); ++i) {
    if (others[i] == node) continue;
    result.push_back({distance(header, nodes_[others[i]].header(), dots[i]), others[i]});
  }
  return result;
}

std::size_t Graph::prune(std::uint32_t node, const std::vector<Neighbour>& nearest,
                         const std::vector<std::uint32_t>& apart,
                         std::vector<std::uint32_t>* kept) const {
  const auto degree = static_cast<std::size_t>(layout_.degree);
  kept->clear();
  std::vector<std::uint32_t> left_out, kept_of_others;
  auto n_wards = static_cast<std::size_t>(
      std::count_if(nearest.begin(), nearest.end(),
                    [&](const Neighbour& candidate) { return is_ward(candidate.node, node); }));
  for (std::size_t i = 0; i < nearest.size(); ++i) {
    const Neighbour& candidate = nearest[i];
    if (kept->size() == degree) return degree;
    if (i + kAhead < nearest.size()) nodes_.prefetch_vector(nearest[i + kAhead].node);
    if (n_wards > 0 && is_ward(candidate.node, node)) {
      kept->push_back(candidate.node);
      kept_of_others.push_back(candidate.node);
      --n_wards;
      continue;
    }
    const bool is_apart = std::binary_search(apart.begin(), apart.end(), candidate.node);
    const bool covered = kept->size() + n_wards == degree ||
                         is_covered(candidate, is_apart ? kept_of_others : *kept);
    (covered ? &left_out : kept)->push_back(candidate.node);
    if (!covered && !is_apart) kept_of_others.push_back(candidate.node);
  }
  const std::size_t n_chosen = kept->size();
  const std::size_t n_more = std::min(left_out.size(), degree - n_chosen);
  kept->insert(kept->end(), left_out.begin(),
               left_out.begin() + static_cast<std::ptrdiff_t>(n_more));
  return n_chosen;
}

/// Four at a time, as most are covered by one of the first.
bool Graph::is_covered(const Neighbour& candidate, const std::vector<std::uint32_t>& kept) const {
  constexpr std::size_t kTogether = 4;
  const Node its = nodes_[candidate.node];
  for (std::size_t begin = 0; begin < kept.size(); begin += kTogether) {
    const std::size_t n = std::min(kTogether, kept.size() - begin);
    const std::int8_t* vectors[kTogether];
    std::int32_t dots[kTogether];
    for (std::size_t i = 0; i < n; ++i) vectors[i] = nodes_[kept[begin + i]].vector();
    kernels_.dots_1xn(its.vector(), vectors, static_cast<int>(n), layout_.dim, dots);
    for (std::size_t i = 0; i < n; ++i) {
      const float apart = distance(nodes_[kept[begin + i]].header(), its.header(), dots[i]);
      if (kSlack * apart < candidate.distance) return true;
    }
  }
  return false;
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

void Graph::forget_guardians() {
  for (std::uint32_t node = 0; node < size(); ++node) {
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

}  // namespace paradox
