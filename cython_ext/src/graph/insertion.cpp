#include "paradox/graph/insertion.hpp"

#include <algorithm>
#include <utility>

#include "paradox/graph/product_edges.hpp"

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
    if (stop >= 2 * graph_.state_.n_at_choice) graph_.choose_entries(stop, threads_);
    begin = stop;
  }
  const std::int64_t n_at_join = graph_.state_.n_at_join;
  if (graph_.size() - n_at_join <= n_at_join / 4) return;
  if (graph_.is_product()) ProductEdges(graph_, threads_).run(1);
  graph_.join_components();
}

void Insertion::take_in(std::uint32_t begin, std::uint32_t end) {
  std::vector<Place> places(end - begin);
  for_each(end - begin, 1, threads_, [&](std::int64_t i) {
    places[static_cast<std::size_t>(i)] =
        connect(begin + static_cast<std::uint32_t>(i), begin, end);
  });
  std::vector<std::pair<std::uint32_t, std::uint32_t>> links;  // parent, child
  const std::size_t n_entries = graph_.state_.entries.size();
  for (std::uint32_t node = begin; node < end; ++node) {
    const Place& place = places[node - begin];
    for (const std::uint32_t parent : place.parents) links.emplace_back(parent, node);
    const std::uint32_t guardian = find_guardian(node, place);
    if (guardian != node) links.emplace_back(guardian, node);
    if (place.is_apart && guardian < begin) graph_.state_.entries.push_back(node);
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
    for (std::size_t j = begins[i]; j < begins[i + 1]; ++j) {
      graph_.offer_edge(links[j].first, links[j].second);
    }
  });
  if (graph_.state_.entries.size() > n_entries) graph_.encode_entries();
}

/// One that came before, so that over guardians the first node leads to all: a neighbour, or the
/// nearest there is with room.
std::uint32_t Insertion::find_guardian(std::uint32_t node, const Place& place) {
  for (const Nodes* some : {&place.parents, &place.earlier}) {
    for (const std::uint32_t other : *some) {
      if (other < node && graph_.guard(other, node)) return other;
    }
  }
  for (std::uint32_t other = node; other-- > 0;) {
    if (graph_.guard(other, node)) return other;
  }
  return node;
}

Insertion::Place Insertion::connect(std::uint32_t node, std::uint32_t begin, std::uint32_t end) {
  constexpr std::size_t kMostEarlier = 8;
  Nodes others = graph_.met_on_the_way_to(node);
  for (std::uint32_t peer = begin; peer < end; ++peer) others.push_back(peer);
  std::vector<Neighbour> near = graph_.by_distance(node, others);
  Place place;
  const std::uint32_t end_of_earlier = begin > 0 ? begin : node;
  for (const Neighbour& other : near) {
    if (place.earlier.size() == kMostEarlier) break;
    if (other.node < end_of_earlier) place.earlier.push_back(other.node);
  }
  const auto n_looked_at = static_cast<std::size_t>(graph_.settings_.build_effort);
  if (near.size() > n_looked_at) near.resize(n_looked_at);
  place.is_apart = begin > 0 && std::none_of(near.begin(), near.end(), [begin](const Neighbour& a) {
                     return a.node < begin;
                   });
  const std::size_t n_parents = graph_.prune(node, near, {}, &place.parents);
  graph_.connect(node, place.parents, n_parents);
  place.parents.resize(n_parents);
  return place;
}

}  // namespace paradox
