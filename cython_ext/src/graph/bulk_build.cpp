#include "paradox/graph/bulk_build.hpp"

#include <algorithm>
#include <limits>

#include "paradox/graph/product_edges.hpp"

namespace paradox {

BulkBuild::BulkBuild(Graph& graph, int threads)
    : graph_(graph),
      threads_(threads),
      random_(graph.settings_.seed + 2),
      n_(static_cast<std::uint32_t>(graph.size())),
      candidates_(std::size_t{n_} * kCandidates, Neighbour{-1.0f, 0}),
      n_candidates_(n_),
      forward_(std::size_t{n_} * static_cast<std::size_t>(graph.layout_.degree)),
      n_forward_(n_) {}

void BulkBuild::run() {
  const std::vector<Part> all = parts();
  ThreadPool::instance().run(static_cast<std::int64_t>(all.size()), threads_,
                             [&](std::int64_t i) { join(all[static_cast<std::size_t>(i)]); });
  order_ = in_order_of(all);
  for_each_node([&](std::uint32_t node) { settle(node); });
  for (std::uint32_t node = 0; node < n_; ++node) choose_first(node);
  link(Chosen::as_they_are);
  graph_.choose_entries(n_, threads_);
  for_each_node([&](std::uint32_t node) { look_along(node); });
  link(Chosen::pruned);
  share_edges();
  if (graph_.is_product()) ProductEdges(graph_, threads_).run(2);
  for (std::uint32_t node = 0; node < n_; ++node) graph_.adopt_if_orphan(node);
  graph_.join_components();
}

std::vector<BulkBuild::Part> BulkBuild::parts() {
  Nodes all(n_);
  for (std::uint32_t i = 0; i < n_; ++i) all[i] = i;
  const std::uint32_t n_leaders = std::clamp(n_ / kPartNodes * kParts, std::uint32_t{1},
                                             kMostLeaders);  // longer parts are split below
  const Nodes leaders = sample(n_, n_leaders, random_);
  const int n_turns = std::min<int>(kParts, static_cast<int>(leaders.size()));
  const Nodes nearest = nearest_leaders(all, leaders, n_turns);
  std::vector<Part> whole(leaders.size());
  for (std::uint32_t node = 0; node < n_; ++node) {
    for (int turn = 0; turn < n_turns; ++turn) {
      const std::uint32_t leader = nearest[std::size_t{node} * n_turns + turn];
      whole[leader].push_back({node, static_cast<std::uint32_t>(turn)});
    }
  }
  std::vector<Part> result;
  for (Part& part : whole) split(std::move(part), &result);
  return result;
}

BulkBuild::Nodes BulkBuild::in_order_of(const std::vector<Part>& parts) const {
  Nodes order;
  order.reserve(n_);
  std::vector<std::uint8_t> is_placed(n_);
  for (const Part& part : parts) {
    for (const Member& member : part) {
      if (member.turn != 0) continue;
      is_placed[member.node] = 1;
      order.push_back(member.node);
    }
  }
  for (std::uint32_t node = 0; node < n_; ++node) {  // those that are alone in a part
    if (is_placed[node] == 0) order.push_back(node);
  }
  return order;
}

template <class Body>
void BulkBuild::for_each_node(const Body& body) const {
  for_each(n_, 64, threads_, [&](std::int64_t i) { body(order_[static_cast<std::size_t>(i)]); });
}

/// Leaders in dense places draw many: a part is split until it has at most twice what it should.
void BulkBuild::split(Part part, std::vector<Part>* out) {
  if (part.size() <= 2 * kPartNodes) {
    if (part.size() > 1) out->push_back(std::move(part));
    return;
  }
  Nodes nodes;
  for (const Member& member : part) nodes.push_back(member.node);
  const auto n_leaders = static_cast<std::uint32_t>(part.size() / kPartNodes);
  Nodes leaders;
  for (const std::uint32_t at :
       sample(static_cast<std::uint32_t>(part.size()), n_leaders, random_)) {
    leaders.push_back(nodes[at]);
  }
  const Nodes nearest = nearest_leaders(nodes, leaders, 1);
  std::vector<Part> smaller(leaders.size());
  for (std::size_t i = 0; i < part.size(); ++i) smaller[nearest[i]].push_back(part[i]);
  for (Part& some : smaller) {
    if (some.size() == part.size()) {  // equal vectors cannot be told apart: cut them anywhere
      for (std::size_t begin = 0; begin < some.size(); begin += kPartNodes) {
        const std::size_t end = std::min(begin + kPartNodes, some.size());
        out->emplace_back(some.begin() + static_cast<std::ptrdiff_t>(begin),
                          some.begin() + static_cast<std::ptrdiff_t>(end));
      }
      return;
    }
    split(std::move(some), out);
  }
}

template <class NodeAt, class Side>
void BulkBuild::gather(std::size_t n, const NodeAt& node_at, Side* side) const {
  side->reset(graph_.kernels_.tiles, static_cast<std::int64_t>(n), graph_.layout_.dim);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t node = node_at(i);
    side->set(static_cast<std::int64_t>(i), graph_.vector(node),
              graph_.nodes_[node].header().squares);
  }
}

BulkBuild::Nodes BulkBuild::nearest_leaders(const Nodes& nodes, const Nodes& leaders,
                                            int n_nearest) {
  TileColumns columns;
  const auto leader_at = [&](std::size_t j) { return leaders[j]; };
  gather(leaders.size(), leader_at, &columns);
  Nodes result(nodes.size() * static_cast<std::size_t>(n_nearest));
  constexpr std::int64_t kStrip = 64;
  const auto n = static_cast<std::int64_t>(nodes.size());
  ThreadPool::instance().run((n + kStrip - 1) / kStrip, threads_, [&](std::int64_t strip) {
    thread_local TileRows rows;
    thread_local Nodes near;
    near.resize(leaders.size());
    const std::int64_t begin = strip * kStrip, end = std::min(begin + kStrip, n);
    const auto node_at = [&](std::size_t i) { return nodes[static_cast<std::size_t>(begin) + i]; };
    gather(static_cast<std::size_t>(end - begin), node_at, &rows);
    for_each_row_of_distances(rows, columns, [&](std::int64_t i, float* distances) {
      Neighbour best[kParts] = {};
      Smallest smallest(0, best, n_nearest);
      const std::int64_t n_near = graph_.kernels_.least(
          distances, static_cast<std::int64_t>(leaders.size()), n_nearest, near.data());
      for (std::int64_t j = 0; j < n_near; ++j) smallest.offer(distances[near[j]], near[j]);
      for (int j = 0; j < n_nearest; ++j) {
        result[static_cast<std::size_t>((begin + i) * n_nearest + j)] = best[j].node;
      }
    });
  });
  return result;
}

void BulkBuild::join(const Part& part) {
  thread_local TileRows rows;
  thread_local TileColumns columns;
  thread_local Nodes near;
  near.resize(part.size());
  const auto node_at = [&](std::size_t i) { return part[i].node; };
  gather(part.size(), node_at, &rows);
  gather(part.size(), node_at, &columns);
  for_each_row_of_distances(rows, columns, [&](std::int64_t i, float* distances) {
    const Member& self = part[static_cast<std::size_t>(i)];
    Neighbour* out = candidates_.data() + std::int64_t{self.node} * kCandidates +
                     std::int64_t{self.turn} * kPerPart;
    Smallest smallest(self.node, out, kPerPart);
    distances[i] = std::numeric_limits<float>::quiet_NaN();  // no neighbour of its own
    const std::int64_t n_near = graph_.kernels_.least(
        distances, static_cast<std::int64_t>(part.size()), kPerPart, near.data());
    for (std::int64_t j = 0; j < n_near; ++j) {
      smallest.offer(distances[near[j]], part[near[j]].node);
    }
  });
}

void BulkBuild::settle(std::uint32_t node) {
  Neighbour* begin = candidates_.data() + std::int64_t{node} * kCandidates;
  Neighbour* end = begin + kCandidates;
  end = std::remove_if(begin, end, [](const Neighbour& none) { return none.distance < 0.0f; });
  std::sort(begin, end, Nearer{node});
  end = std::unique(begin, end,
                    [](const Neighbour& a, const Neighbour& b) { return a.node == b.node; });
  n_candidates_[node] = static_cast<std::uint8_t>(end - begin);
}

void BulkBuild::add_candidates(std::uint32_t node, std::vector<Neighbour>* more) const {
  std::sort(more->begin(), more->end(), Nearer{node});
  const auto n = static_cast<std::ptrdiff_t>(more->size());
  const Neighbour* had = candidates_.data() + std::int64_t{node} * kCandidates;
  more->insert(more->end(), had, had + n_candidates_[node]);
  std::inplace_merge(more->begin(), more->begin() + n, more->end(), Nearer{node});
  more->erase(std::unique(more->begin(), more->end(),
                          [](const Neighbour& a, const Neighbour& b) { return a.node == b.node; }),
              more->end());
}

void BulkBuild::look_along(std::uint32_t node) {
  std::vector<Neighbour> found = graph_.with_distances(node, graph_.met_on_the_way_to(node));
  add_candidates(node, &found);
  choose(node, found);
  keep_candidates(node, found);
}

void BulkBuild::keep_candidates(std::uint32_t node, const std::vector<Neighbour>& near) {
  const std::size_t n = std::min<std::size_t>(near.size(), kCandidates);
  std::copy_n(near.begin(), n, candidates_.begin() + std::int64_t{node} * kCandidates);
  n_candidates_[node] = static_cast<std::uint8_t>(n);
}

void BulkBuild::share_edges() {
  std::vector<std::uint32_t> n_parents(n_);
  for (std::uint32_t node = 0; node < n_; ++node) {
    for (const std::uint32_t other : graph_.neighbours_of(node)) ++n_parents[other];
  }
  for (std::uint32_t node = 0; node < n_; ++node) {
    if (n_parents[node] >= kLeastParents) continue;
    for (const Neighbour& candidate : nearest(node)) {
      if (n_parents[node] >= kLeastParents) break;
      if (take_edge(candidate.node, node, &n_parents)) ++n_parents[node];
    }
  }
}

bool BulkBuild::take_edge(std::uint32_t parent, std::uint32_t child,
                          std::vector<std::uint32_t>* n_parents) {
  const Node node = graph_.nodes_[parent];
  const int n_edges = node.header().n_edges;
  const std::uint32_t* edges = node.neighbours();
  if (graph_.has_edge(parent, child)) return false;
  int given_up = n_edges;
  if (n_edges == graph_.layout_.degree) {
    auto most = static_cast<std::uint32_t>(kManyParents * graph_.layout_.degree);
    given_up = -1;
    for (int edge = 0; edge < n_edges; ++edge) {
      if (node.header().is_chosen(edge) || (*n_parents)[edges[edge]] <= most) continue;
      if (graph_.is_ward(edges[edge], parent)) continue;  // asked last, as it reads that node
      most = (*n_parents)[edges[edge]];
      given_up = edge;
    }
    if (given_up < 0) return false;
    --(*n_parents)[edges[given_up]];
  }
  graph_.set_edge(parent, given_up, child, false);
  return true;
}

void BulkBuild::choose_first(std::uint32_t node) {
  const int n = std::min<int>(n_candidates_[node], kFirstEdges);
  for (int j = 0; j < n; ++j) {
    forward_[std::size_t{node} * static_cast<std::size_t>(graph_.layout_.degree) + j] =
        candidates_[std::size_t{node} * kCandidates + j].node;
  }
  n_forward_[node] = static_cast<std::uint8_t>(n);
}

void BulkBuild::choose(std::uint32_t node, const std::vector<Neighbour>& near) {
  Nodes kept;
  n_forward_[node] = static_cast<std::uint8_t>(graph_.prune(node, near, {}, &kept));
  std::copy_n(kept.begin(), n_forward_[node],
              forward_.begin() + std::int64_t{node} * graph_.layout_.degree);
}

void BulkBuild::link(Chosen chosen) {
  const auto degree = static_cast<std::size_t>(graph_.layout_.degree);
  std::vector<std::size_t> begins(std::size_t{n_} + 1);
  const auto forward = [&](std::uint32_t node, int j) { return forward_[node * degree + j]; };
  for (std::uint32_t node = 0; node < n_; ++node) {
    for (int j = 0; j < n_forward_[node]; ++j) ++begins[forward(node, j) + 1];
  }
  for (std::uint32_t node = 0; node < n_; ++node) begins[node + 1] += begins[node];
  Nodes parents(begins[n_]);
  std::vector<std::size_t> next(begins.begin(), begins.end() - 1);
  for (std::uint32_t node = 0; node < n_; ++node) {
    for (int j = 0; j < n_forward_[node]; ++j) parents[next[forward(node, j)]++] = node;
  }
  for_each_node([&](std::uint32_t node) {
    const Nodes its(parents.data() + begins[node], parents.data() + begins[node + 1]);
    link_both_ways(node, its, chosen);
  });
}

void BulkBuild::link_both_ways(std::uint32_t node, const Nodes& parents, Chosen chosen) {
  const auto degree = static_cast<std::size_t>(graph_.layout_.degree);
  const auto begin = forward_.begin() + static_cast<std::ptrdiff_t>(node * degree);
  Nodes others(begin, begin + n_forward_[node]), apart;
  if (chosen == Chosen::pruned) {
    apart = others;
    std::sort(apart.begin(), apart.end());
  }
  others.insert(others.end(), parents.begin(), parents.end());
  const std::vector<Neighbour> near = graph_.by_distance(node, others);
  Nodes kept;
  const std::size_t n_chosen = graph_.prune(node, near, apart, &kept);
  for (const Neighbour& candidate : nearest(node)) {  // scanning 32 edges costs what fewer do
    if (kept.size() == degree) break;
    if (!std::binary_search(others.begin(), others.end(), candidate.node)) {
      kept.push_back(candidate.node);
    }
  }
  graph_.connect(node, kept, n_chosen);
}

}  // namespace paradox
