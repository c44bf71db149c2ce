// Edges for inner product, where some vectors are much longer than others. These are most of the
// answers, but lengthened to one length they are far from all others, and few edges lead to them.
// So half of the edges of long nodes lead to what a query in their own direction would find, as
// those of ip-NSW do (Morozov and Babenko, NeurIPS 2018).
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/graph/directions.hpp"

namespace paradox {

class ProductEdges {
 public:
  ProductEdges(Graph& graph, int threads);

  /// Gives the long nodes of a graph that stands their edges, if norms are uneven: as often as
  /// asked, since searches find more over those of the pass before. Wards may be given up.
  void run(int n_passes);

 private:
  using Nodes = std::vector<std::uint32_t>;

  /// The nodes of the greatest products with a node's direction, less those to which one kept
  /// before is nearer by direction: its own edges lead there.
  Nodes greatest_products(std::uint32_t node) const;
  /// Puts edges before those that a node had without them; the last of these are given up.
  void connect(std::uint32_t node, Nodes first, const Nodes& had, std::size_t n_chosen);

  Graph& graph_;
  int threads_;
  Directions directions_;
};

}  // namespace paradox
