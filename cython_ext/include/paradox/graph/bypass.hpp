// The way around nodes that were removed.
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/graph/graph.hpp"

namespace paradox {

/// Gives every node that has neighbours removed up to a write the neighbours of these in their
/// place (as FreshDiskANN does: Singh et al., 2021). No search meets such a removed node then.
class Bypass {
 public:
  Bypass(Graph& graph, std::uint32_t seq, int threads);

  void run();

 private:
  /// The neighbours that are not removed, and those of the removed ones; empty where a node has
  /// only such as are not.
  std::vector<Neighbour> around(std::uint32_t node) const;

  Graph& graph_;
  int threads_;
  std::vector<std::uint8_t> is_removed_;
};

}  // namespace paradox
