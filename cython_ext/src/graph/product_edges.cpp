#include "paradox/graph/product_edges.hpp"

#include <algorithm>
#include <utility>

namespace paradox {
namespace {

/// The nodes that get such edges are this part of all, and the edges this part of theirs. Half of
/// all nodes found no more (clusters and texts, norms lognormal by 0.5), a tenth 0.02 less.
constexpr std::uint32_t kLongShare = 4, kEdgeShare = 2;

/// Searches expand so many times as many nodes as those for near ones: among clusters 0.86 of the
/// ten nearest were found at effort 20 after searches of as many, 0.97 after those of twice.
constexpr int kTimesAsFar = 2;

}  // namespace

ProductEdges::ProductEdges(Graph& graph, int threads)
    : graph_(graph),
      threads_(threads),
      directions_(graph, static_cast<std::uint32_t>(graph.size()), threads) {}

void ProductEdges::run(int n_passes) {
  if (!directions_.are_uneven()) return;
  const Nodes nodes = directions_.longest(kLongShare);
  const auto n = static_cast<std::int64_t>(nodes.size());
  std::vector<Nodes> had(nodes.size()), found(nodes.size());
  std::vector<std::size_t> n_chosen(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const NodeHeader& header = graph_.nodes_[nodes[i]].header();
    const Nodes edges = graph_.neighbours_of(nodes[i]);
    Nodes chosen, others;
    for (int edge = 0; edge < header.n_edges; ++edge) {
      (header.is_chosen(edge) ? chosen : others).push_back(edges[static_cast<std::size_t>(edge)]);
    }
    n_chosen[i] = chosen.size();
    for (const Neighbour& near : graph_.by_distance(nodes[i], chosen)) had[i].push_back(near.node);
    had[i].insert(had[i].end(), others.begin(), others.end());
  }
  for (int pass = 0; pass < n_passes; ++pass) {
    for_each(n, 64, threads_, [&](std::int64_t task) {
      const auto i = static_cast<std::size_t>(task);
      found[i] = greatest_products(nodes[i]);
    });
    for_each(n, 64, threads_, [&](std::int64_t task) {
      const auto i = static_cast<std::size_t>(task);
      connect(nodes[i], found[i], had[i], n_chosen[i]);
    });
  }
}

ProductEdges::Nodes ProductEdges::greatest_products(std::uint32_t node) const {
  SearchScratch& scratch = SearchScratch::of_this_thread();
  directions_.prepare(node, scratch);
  graph_.walk(scratch, {kTimesAsFar * graph_.settings_.build_effort, 0}, graph_.newest());
  std::sort(scratch.found.begin(), scratch.found.end());
  const std::size_t most = static_cast<std::size_t>(graph_.layout_.degree) / kEdgeShare;
  Nodes kept;
  for (const std::uint64_t entry : scratch.found) {
    if (kept.size() == most) break;
    const std::uint32_t other = KeyedNode::node(entry);
    if (other == node) continue;
    const float product = directions_.product(node, other);
    const bool is_covered = std::any_of(kept.begin(), kept.end(), [&](std::uint32_t before) {
      return directions_.product(before, other) > product;
    });
    if (!is_covered) kept.push_back(other);
  }
  return kept;
}

void ProductEdges::connect(std::uint32_t node, Nodes first, const Nodes& had,
                           std::size_t n_chosen) {
  const std::size_t n_first = first.size();
  const auto degree = static_cast<std::size_t>(graph_.layout_.degree);
  Nodes edges = std::move(first);
  std::size_t n_kept = n_first;
  for (std::size_t i = 0; i < had.size() && edges.size() < degree; ++i) {
    const auto end = edges.begin() + static_cast<std::ptrdiff_t>(n_first);
    if (std::find(edges.begin(), end, had[i]) != end) continue;
    edges.push_back(had[i]);
    if (i < n_chosen) n_kept = edges.size();
  }
  graph_.connect(node, edges, n_kept);
}

}  // namespace paradox
