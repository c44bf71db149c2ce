#include <algorithm>
#include <cmath>
#include <cstring>

#include "paradox/graph/graph.hpp"

namespace paradox {
namespace {

/// Far above what the longest vectors lead to, and so low that no key is infinite.
constexpr float kMostOffsetScale = 1e30f, kMostSlopeScale = 1e15f;

}  // namespace

/// Of a removal a file keeps that there was one: it is then before all that is searched.
void Graph::save_nodes(std::uint8_t* out) const {
  for (std::int64_t i = 0; i < size(); ++i) {
    std::uint8_t* to = out + i * layout_.stride;
    std::memcpy(to, nodes_[static_cast<std::uint32_t>(i)].data(),
                static_cast<std::size_t>(layout_.stride));
    auto& header = *reinterpret_cast<NodeHeader*>(to);
    header.removed_at = header.is_removed() ? 1 : 0;
  }
}

bool Graph::may_be(const GraphState& state, std::int64_t n) const {
  const auto is_node = [n](std::uint32_t node) { return node < n; };
  const auto is_length = [](float value) { return is_kept_length(std::fabs(value)); };
  const auto is_count = [n](std::int64_t value, std::int64_t least) {
    return value >= least && value <= n;
  };
  std::vector<std::uint32_t> entries = state.entries;
  std::sort(entries.begin(), entries.end());
  return state.origin.size() == static_cast<std::size_t>(settings_.dim) &&
         std::all_of(state.origin.begin(), state.origin.end(), is_length) && !entries.empty() &&
         std::all_of(entries.begin(), entries.end(), is_node) &&
         std::adjacent_find(entries.begin(), entries.end()) == entries.end() &&
         is_kept_length(state.longest) &&
         (state.dimension == 0.0f ||
          (state.dimension >= kLeastDimension && state.dimension <= kMostDimension)) &&
         is_count(state.n_at_origin, 1) && is_count(state.n_at_choice, 1) &&
         is_count(state.n_at_join, 0) && is_count(state.n_bypassed, 0);
}

bool Graph::may_be(const Node& node, std::int64_t n) const {
  const auto is_node = [n](std::uint32_t other) { return other < n; };
  const NodeHeader& header = node.header();
  if (!std::all_of(node.neighbours(), node.neighbours() + layout_.degree, is_node) ||
      header.n_edges < 0 || header.n_edges > layout_.degree || !is_node(header.guardian) ||
      header.n_wards < 0 || header.n_wards > layout_.degree / kWardShare || header.removed_at > 1) {
    return false;
  }
  constexpr int kNoStep = 0x80;  // -128: products of it would not fit their sums
  if (!is_kept_length(header.scale) ||
      !(header.offset_scale >= 0.0f && header.offset_scale <= kMostOffsetScale) ||
      !(header.slope_scale >= 0.0f && header.slope_scale <= kMostSlopeScale) ||
      std::memchr(node.vector(), kNoStep, static_cast<std::size_t>(layout_.dim)) != nullptr) {
    return false;
  }
  const auto sum = static_cast<float>(kernels_.dot_i8i8(node.vector(), node.vector(), layout_.dim));
  const float squares = header.scale * header.scale * sum;  // as `store` has it
  return squares <= kMostKeptLength * kMostKeptLength && header.squares == squares &&
         header.term == (is_product() ? 0.0f : squares);
}

bool Graph::restore(const std::uint8_t* nodes, std::int64_t n, const GraphState& state,
                    int threads) {
  if (n > kMaxNodes || !may_be(state, n)) return false;
  nodes_.grow(n);
  for (std::int64_t i = 0; i < n; ++i) {
    const Node node = nodes_[static_cast<std::uint32_t>(i)];
    const NodeHeader& header = node.header();
    std::memcpy(&node.header(), nodes + i * layout_.stride,
                static_cast<std::size_t>(layout_.stride));
    if (!may_be(node, n)) return false;
    n_removed_ += header.removed_at;
    if (is_product()) longest_seen_ = std::max(longest_seen_, std::sqrt(header.squares));
  }
  if (state.n_bypassed > n_removed_) return false;
  n_settled_ = n_removed_;
  n_connected_ = n;
  state_ = state;
  encode_entries();
  sketch(0, threads);
  return true;
}

}  // namespace paradox
