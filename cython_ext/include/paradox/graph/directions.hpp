// Inner product: what a query in the direction of a node's own vector would find. Nodes are
// lengthened in a dimension of their own, and kept less the origin; a query is neither.
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/graph/graph.hpp"

namespace paradox {

/// The vectors of the first n nodes of a graph under inner product, as they were given.
class Directions {
 public:
  Directions(const Graph& graph, std::uint32_t n, int threads);

  /// Whether some are so much longer than others that they are most of the answers.
  bool are_uneven() const;
  /// One of so many of the nodes that are not removed: the longest, in order.
  std::vector<std::uint32_t> longest(std::uint32_t share) const;

  /// Of the direction of a node's vector and another's vector as it is kept.
  float product(std::uint32_t node, std::uint32_t other) const;
  /// Makes a search look for what a query in a node's direction would find.
  void prepare(std::uint32_t node, SearchScratch& scratch) const;

 private:
  /// Writes a node's vector as it was given, rotated.
  void restore(std::uint32_t node, float* rotated) const;

  struct Place {
    float length = 0.0f;       // of the vector as it was given
    float along_axis = 0.0f;   // of the node, what it was lengthened by
    float with_origin = 0.0f;  // the product of the node and the origin
  };

  const Graph& graph_;
  std::vector<float> origin_, axis_;  // rotated; the axis is the dimension that lengthens
  std::vector<Place> places_;
};

}  // namespace paradox
