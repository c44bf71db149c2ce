// The edges of many nodes at once: nearest neighbours by matrix products within overlapping small
// parts (PiPNN: Rubel et al., 2026), pruned, joined both ways, and searched through once.
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/graph/distance_tiles.hpp"
#include "paradox/graph/graph.hpp"
#include "paradox/graph/random.hpp"

namespace paradox {

class BulkBuild {
 public:
  BulkBuild(Graph& graph, int threads);

  /// Gives every node of the graph its edges; those it had are forgotten.
  void run();

 private:
  using Nodes = std::vector<std::uint32_t>;

  /// A node's place in a part: which of its own parts this is says where its neighbours go.
  struct Member {
    std::uint32_t node;
    std::uint32_t turn;
  };
  using Part = std::vector<Member>;

  /// How nodes have chosen their neighbours.
  enum class Chosen { as_they_are, pruned };

  std::vector<Part> parts();
  /// All nodes, those of a part one after the other: what is read for one is at hand for the next.
  Nodes in_order_of(const std::vector<Part>& parts) const;
  /// Runs body(node) for every node, in that order.
  template <class Body>
  void for_each_node(const Body& body) const;
  void split(Part part, std::vector<Part>* out);
  /// Lays the vectors of n nodes side by side, as rows or columns.
  template <class NodeAt, class Side>
  void gather(std::size_t n, const NodeAt& node_at, Side* side) const;
  /// The nearest `n_nearest` leaders of each node: (nodes.size(), n_nearest) positions.
  Nodes nearest_leaders(const Nodes& nodes, const Nodes& leaders, int n_nearest);
  void join(const Part& part);
  /// The nearest of what a node's parts found for it, in order, each once.
  void settle(std::uint32_t node);
  /// Takes the nearest candidates as they are: `link` prunes them, with those that took the node.
  void choose_first(std::uint32_t node);
  /// Chooses a node's neighbours among the candidates and what a search for the node meets.
  void look_along(std::uint32_t node);
  void add_candidates(std::uint32_t node, std::vector<Neighbour>* more) const;
  void keep_candidates(std::uint32_t node, const std::vector<Neighbour>& near);
  void choose(std::uint32_t node, const std::vector<Neighbour>& near);
  /// Joins each node to those it has chosen and those that have chosen it.
  void link(Chosen chosen);
  void link_both_ways(std::uint32_t node, const Nodes& parents, Chosen chosen);
  /// Gives nodes that few others have for a neighbour edges that led to nodes of many. Where a few
  /// are near to all, they draw the edges and cover the rest, which searches then miss.
  void share_edges();
  /// Whether a parent had an edge for a child: a free one, or the one to the node of most parents
  /// that pruning did not choose.
  bool take_edge(std::uint32_t parent, std::uint32_t child, std::vector<std::uint32_t>* n_parents);

  std::vector<Neighbour> nearest(std::uint32_t node) const {
    const Neighbour* begin = candidates_.data() + std::int64_t{node} * kCandidates;
    return {begin, begin + n_candidates_[node]};
  }

  static constexpr int kParts = 4;
  static constexpr int kPartNodes = 400;
  static constexpr std::uint32_t kMostLeaders = 20'000;  // of two million nodes
  static constexpr int kPerPart = 16;
  static constexpr int kCandidates = kParts * kPerPart;
  static constexpr int kFirstEdges = 16;
  static constexpr std::uint32_t kLeastParents = 16;
  static constexpr int kManyParents = 2;  // times the degree

  Graph& graph_;
  int threads_;
  Random random_;
  std::uint32_t n_;
  Nodes order_;
  std::vector<Neighbour> candidates_;  // (n, kCandidates)
  std::vector<std::uint8_t> n_candidates_;
  Nodes forward_;  // (n, degree)
  std::vector<std::uint8_t> n_forward_;
};

}  // namespace paradox
