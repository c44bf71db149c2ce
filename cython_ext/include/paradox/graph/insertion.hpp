// The edges of new nodes in a graph that stands.
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/graph/graph.hpp"

namespace paradox {

/// Takes new nodes in batch by batch: first each looks for its neighbours in the graph as it
/// stands and among its batch, then each node that is to be someone's neighbour is changed, by one
/// thread. So the graph does not depend on the number of threads.
class Insertion {
 public:
  Insertion(Graph& graph, int threads) : graph_(graph), threads_(threads) {}

  /// Connects the nodes from `begin` on.
  void run(std::uint32_t begin);

 private:
  using Nodes = std::vector<std::uint32_t>;

  /// Where a node of a batch is.
  struct Place {
    Nodes parents;          // nodes that it should be a neighbour of
    Nodes earlier;          // the nearest of those that were there before the batch
    bool is_apart = false;  // none of these is among the nodes it looked at
  };

  void take_in(std::uint32_t begin, std::uint32_t end);
  /// Gives a node of the batch [begin, end) its neighbours.
  Place connect(std::uint32_t node, std::uint32_t begin, std::uint32_t end);
  std::uint32_t find_guardian(std::uint32_t node, const Place& place);

  Graph& graph_;
  int threads_;
};

}  // namespace paradox
