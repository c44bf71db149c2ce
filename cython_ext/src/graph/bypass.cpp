#include "paradox/graph/bypass.hpp"

#include <utility>

#include "paradox/graph/product_edges.hpp"

namespace paradox {

Bypass::Bypass(Graph& graph, std::uint32_t seq, int threads)
    : graph_(graph), threads_(threads), is_removed_(static_cast<std::size_t>(graph.size())) {
  for (std::uint32_t node = 0; node < graph.size(); ++node) {
    is_removed_[node] = graph.nodes_[node].header().is_there_at(seq) ? 0 : 1;
  }
}

void Bypass::run() {
  for_each(graph_.size(), 64, threads_, [&](std::int64_t i) {
    const auto node = static_cast<std::uint32_t>(i);
    if (is_removed_[node] != 0) return;
    const std::vector<Neighbour> near = around(node);
    if (near.empty()) return;
    std::vector<std::uint32_t> kept;
    const std::size_t n_chosen = graph_.prune(node, near, {}, &kept);
    graph_.connect(node, kept, n_chosen);
  });
  if (graph_.is_product()) ProductEdges(graph_, threads_).run(1);
  for (std::uint32_t node = 0; node < graph_.size(); ++node) {
    if (is_removed_[node] == 0) graph_.adopt_if_orphan(node);
  }
  graph_.choose_entries(static_cast<std::uint32_t>(graph_.state_.n_at_choice), threads_);
  graph_.join_components();
}

std::vector<Neighbour> Bypass::around(std::uint32_t node) const {
  std::vector<std::uint32_t> others;
  bool has_removed = false;
  for (const std::uint32_t near : graph_.neighbours_of(node)) {
    if (is_removed_[near] == 0) {
      others.push_back(near);
      continue;
    }
    has_removed = true;
    for (const std::uint32_t far : graph_.neighbours_of(near)) {
      if (is_removed_[far] == 0) others.push_back(far);
    }
  }
  return has_removed ? graph_.by_distance(node, others) : std::vector<Neighbour>{};
}

}  // namespace paradox
