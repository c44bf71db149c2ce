// Nearest neighbours alone leave clusters without a way between them.
#include "paradox/graph/graph.hpp"

namespace paradox {

/// A parent that takes a child may give up another, which the next round then finds.
void Graph::join_components() {
  constexpr int kMostRounds = 4;
  int n_rounds = 0;
  n_at_join_ = size();
  while (join_components_once() && ++n_rounds < kMostRounds) {
  }
}

bool Graph::join_components_once() {
  const auto n = static_cast<std::uint32_t>(size());
  std::vector<std::uint8_t> is_reached(n);
  std::vector<std::uint32_t> to_visit;
  const auto reach = [&](std::uint32_t from) {
    is_reached[from] = 1;
    to_visit.push_back(from);
    while (!to_visit.empty()) {
      const Node node = nodes_[to_visit.back()];
      to_visit.pop_back();
      for (int edge = 0; edge < node.header().n_edges; ++edge) {
        const std::uint32_t next = node.neighbours()[edge];
        if (is_reached[next] != 0) continue;
        is_reached[next] = 1;
        to_visit.push_back(next);
      }
    }
  };
  reach(entries_[0]);
  bool is_changed = false;
  for (std::uint32_t node = 0; node < n; ++node) {
    if (is_reached[node] != 0 || nodes_[node].header().is_removed != 0) continue;
    const std::uint32_t other = nearest_reached(node, is_reached);
    adopt(other, node);
    adopt(node, other);
    reach(node);
    is_changed = true;
  }
  return is_changed;
}

std::uint32_t Graph::nearest_reached(std::uint32_t node,
                                     const std::vector<std::uint8_t>& is_reached) {
  std::uint32_t nearest = entries_[0];
  float least = distance(node, nearest);
  const auto look_at = [&](std::uint32_t other) {
    if (is_reached[other] == 0) return;
    const float found = distance(node, other);
    if (found >= least) return;
    least = found;
    nearest = other;
  };
  for (const std::uint32_t entry : entries_) look_at(entry);
  for (std::uint32_t before = nearest + 1; before != nearest;) {
    before = nearest;
    const Node at = nodes_[nearest];
    for (int edge = 0; edge < at.header().n_edges; ++edge) look_at(at.neighbours()[edge]);
  }
  return nearest;
}

}  // namespace paradox
