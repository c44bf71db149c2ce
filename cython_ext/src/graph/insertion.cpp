#include "paradox/graph/insertion.hpp"

#include <algorithm>
#include <utility>

namespace paradox {
namespace {

/// Nodes that look for neighbours side by side, and do not find each other by search.
constexpr std::uint32_t kLeastBatch = 32, kMostBatch = 256;

/// The share of the graph that a batch may be.
constexpr std::uint32_t kBatchShare = 4;

}  // namespace

void Insertion::run(std::uint32_t begin) {
  const auto end = static_cast<std::uint32_t>(graph_.size());
  while (begin < end) {
    const std::uint32_t batch = std::clamp(begin / kBatchShare, kLeastBatch, kMostBatch);
    const std::uint32_t stop = std::min(begin + batch, end);
    take_in(begin, stop);
    if (stop >= 2 * graph_.n_at_choice_) graph_.choose_entries(stop);
    begin = stop;
  }
  // A node that changes its neighbours may give up the only way to others.
  if (graph_.size() - graph_.n_at_join_ > graph_.n_at_join_ / 4) graph_.join_components();
}

void Insertion::take_in(std::uint32_t begin, std::uint32_t end) {
  std::vector<Nodes> parents(end - begin);
  for_each(end - begin, 1, threads_, [&](std::int64_t i) {
    parents[static_cast<std::size_t>(i)] =
        connect(begin + static_cast<std::uint32_t>(i), begin, end);
  });
  std::vector<std::pair<std::uint32_t, std::uint32_t>> links;  // parent, child
  for (std::uint32_t node = begin; node < end; ++node) {
    for (const std::uint32_t parent : parents[node - begin]) links.emplace_back(parent, node);
  }
  std::sort(links.begin(), links.end());
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < links.size(); ++i) {
    if (i == 0 || links[i].first != links[i - 1].first) begins.push_back(i);
  }
  const auto n_parents = static_cast<std::int64_t>(begins.size());
  begins.push_back(links.size());
  for_each(n_parents, 8, threads_, [&](std::int64_t task) {
    const auto i = static_cast<std::size_t>(task);
    Nodes children;
    for (std::size_t j = begins[i]; j < begins[i + 1]; ++j) children.push_back(links[j].second);
    adopt(links[begins[i]].first, children);
  });
  for (std::uint32_t node = begin; node < end; ++node) graph_.adopt_if_orphan(node);
}

Insertion::Nodes Insertion::connect(std::uint32_t node, std::uint32_t begin, std::uint32_t end) {
  SearchScratch& scratch = SearchScratch::of_this_thread();
  graph_.prepare(node, scratch);
  graph_.walk(scratch, graph_.settings_.build_effort);
  std::vector<Neighbour>& near = scratch.neighbours;
  near.clear();
  for (const std::uint64_t entry : scratch.found) {
    const std::uint32_t other = BeamEntry::node(entry);
    near.push_back({graph_.distance(node, other), other});
  }
  for (std::uint32_t other = begin; other < end; ++other) {
    if (other != node) near.push_back({graph_.distance(node, other), other});
  }
  std::sort(near.begin(), near.end(), Nearer{node});
  const auto n_looked_at = static_cast<std::size_t>(graph_.settings_.build_effort);
  if (near.size() > n_looked_at) near.resize(n_looked_at);
  Nodes kept;
  const std::size_t n_parents = graph_.prune(near, &kept);
  graph_.connect(node, kept.data(), static_cast<int>(kept.size()));
  kept.resize(n_parents);
  return kept;
}

void Insertion::adopt(std::uint32_t parent, const Nodes& children) {
  const Node target = graph_.nodes_[parent];
  std::vector<Neighbour> near;
  const auto add = [&](std::uint32_t other) {
    near.push_back({graph_.distance(parent, other), other});
  };
  std::for_each_n(target.neighbours(), target.header().n_edges, add);
  for (const std::uint32_t child : children) {
    const std::uint32_t* end = target.neighbours() + target.header().n_edges;
    if (std::find(target.neighbours(), const_cast<std::uint32_t*>(end), child) == end) add(child);
  }
  std::sort(near.begin(), near.end(), Nearer{parent});
  Nodes kept;
  graph_.prune(near, &kept);
  graph_.connect(parent, kept.data(), static_cast<int>(kept.size()));
}

}  // namespace paradox
