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
  Nodes others = graph_.met_on_the_way_to(node);
  for (std::uint32_t peer = begin; peer < end; ++peer) others.push_back(peer);
  std::vector<Neighbour> near = graph_.by_distance(node, std::move(others));
  const auto n_looked_at = static_cast<std::size_t>(graph_.settings_.build_effort);
  if (near.size() > n_looked_at) near.resize(n_looked_at);
  Nodes kept;
  const std::size_t n_parents = graph_.prune(near, &kept);
  graph_.connect(node, kept);
  kept.resize(n_parents);
  return kept;
}

void Insertion::adopt(std::uint32_t parent, const Nodes& children) {
  Nodes others = graph_.neighbours_of(parent);
  others.insert(others.end(), children.begin(), children.end());
  Nodes kept;
  graph_.prune(graph_.by_distance(parent, std::move(others)), &kept);
  graph_.connect(parent, kept);
}

}  // namespace paradox
