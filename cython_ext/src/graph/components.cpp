// Nearest neighbours alone leave clusters without a way between them, and a node that changes its
// neighbours may give up the only way to others. So every node has a guardian that keeps it, and
// over guardians the first entry leads everywhere.
#include <limits>

#include "paradox/graph/graph.hpp"

namespace paradox {

/// A parent that takes a child may give up another, which the next round then finds.
void Graph::join_components() {
  constexpr int kMostRounds = 4;
  int n_rounds = 0;
  state_.n_at_join = size();
  while (join_components_once() && ++n_rounds < kMostRounds) {
  }
}

bool Graph::join_components_once() {
  const auto n = static_cast<std::uint32_t>(size());
  forget_guardians();
  std::vector<std::uint8_t> is_reached(n);
  std::vector<std::uint32_t> to_visit;
  const auto reach = [&](std::uint32_t from) {
    is_reached[from] = 1;
    to_visit.push_back(from);
    while (!to_visit.empty()) {
      const std::uint32_t at = to_visit.back();
      const Node node = nodes_[at];
      to_visit.pop_back();
      for (int edge = 0; edge < node.header().n_edges; ++edge) {
        const std::uint32_t next = node.neighbours()[edge];
        if (is_reached[next] != 0) continue;
        if (!guard(at, next)) break;
        is_reached[next] = 1;
        to_visit.push_back(next);
      }
    }
  };
  reach(state_.entries[0]);
  bool is_changed = false;
  for (std::uint32_t node = 0; node < n; ++node) {
    if (is_reached[node] != 0 || nodes_[node].header().is_removed()) continue;
    const std::uint32_t other = nearest_reached(node, is_reached);
    guard(other, node);
    adopt(other, node);
    adopt(node, other);
    reach(node);
    is_changed = true;
  }
  return is_changed;
}

std::uint32_t Graph::nearest_reached(std::uint32_t node,
                                     const std::vector<std::uint8_t>& is_reached) const {
  std::uint32_t nearest = state_.entries[0], with_room = node;
  float least = std::numeric_limits<float>::infinity(), least_with_room = least;
  const auto look_at = [&](std::uint32_t other) {
    if (is_reached[other] == 0) return;
    const float found = distance(node, other);
    if (has_room(other) && found < least_with_room) {
      least_with_room = found;
      with_room = other;
    }
    if (found >= least) return;
    least = found;
    nearest = other;
  };
  for (const std::uint32_t entry : state_.entries) look_at(entry);
  for (std::uint32_t before = nearest + 1; before != nearest;) {
    before = nearest;
    const Node at = nodes_[nearest];
    for (int edge = 0; edge < at.header().n_edges; ++edge) look_at(at.neighbours()[edge]);
  }
  for (std::uint32_t other = 0; with_room == node; ++other) {
    if (is_reached[other] != 0 && has_room(other)) with_room = other;
  }
  return with_room;
}

}  // namespace paradox
