// Damages what a graph is saved as, and uses what `restore` accepts: searches, insertions,
// removals. Nothing may read what is not its own, and what such a graph is saved as must be
// accepted again.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "answers_of.hpp"
#include "damage.hpp"
#include "paradox/graph/graph.hpp"
#include "runs.hpp"
#include "use.hpp"

namespace paradox {
extern const GraphKernels graph_kernels_scalar;
#ifdef PARADOX_AVX2
extern const GraphKernels graph_kernels_avx2;
#endif
}  // namespace paradox

namespace {

using fuzz::expect;
using fuzz::Random;
using fuzz::Section;
using fuzz::vectors;
using paradox::Graph;
using paradox::GraphRows;
using paradox::GraphSettings;
using paradox::GraphState;
using paradox::Metric;

const paradox::GraphKernels& kernels_of(std::uint64_t seed) {
#ifdef PARADOX_AVX2
  if (seed % 4 != 0 && __builtin_cpu_supports("avx2")) return paradox::graph_kernels_avx2;
#endif
  (void)seed;
  return paradox::graph_kernels_scalar;
}

/// What a graph is saved as.
struct Saved {
  GraphSettings settings;
  std::vector<Section> sections;
};

enum : std::size_t { kNodes, kOrigin, kEntries, kFloats, kCounts };

Saved saved(const GraphSettings& settings, const Graph& graph) {
  const GraphState& state = graph.state();
  const auto stride = static_cast<std::size_t>(graph.node_bytes());
  std::vector<std::uint8_t> nodes(static_cast<std::size_t>(graph.size()) * stride);
  graph.save_nodes(nodes.data());
  const float floats[] = {state.longest, state.dimension};
  const std::int64_t counts[] = {state.n_at_origin, state.n_at_choice, state.n_at_join,
                                 state.n_bypassed};
  Saved saved{settings, {}};
  saved.sections = {
      fuzz::section_of("nodes", nodes.data(), nodes.size(), stride),
      fuzz::section_of("origin", state.origin.data(), state.origin.size()),
      fuzz::section_of("entries", state.entries.data(), state.entries.size()),
      fuzz::section_of("floats", floats, 2, 2),
      fuzz::section_of("counts", counts, 4, 4),
  };
  saved.sections[kNodes].hot_end = sizeof(paradox::NodeHeader);
  return saved;
}

/// As `graph.pyx` does it.
bool restore(const Saved& saved, Graph& graph) {
  const std::vector<Section>& sections = saved.sections;
  const std::int64_t n = sections[kNodes].n_records();
  if (n == 0 || sections[kFloats].n_records() != 1 || sections[kCounts].n_records() != 1) {
    return false;
  }
  GraphState state;
  const auto* origin = sections[kOrigin].as<float>();
  const auto* entries = sections[kEntries].as<std::uint32_t>();
  state.origin.assign(origin, origin + sections[kOrigin].n_records());
  state.entries.assign(entries, entries + sections[kEntries].n_records());
  const auto* floats = sections[kFloats].as<float>();
  state.longest = floats[0];
  state.dimension = floats[1];
  const auto* counts = sections[kCounts].as<std::int64_t>();
  state.n_at_origin = counts[0];
  state.n_at_choice = counts[1];
  state.n_at_join = counts[2];
  state.n_bypassed = counts[3];
  return graph.restore(sections[kNodes].bytes.data(), n, state, 1);
}

std::vector<Saved> made() {
  std::vector<Saved> all;
  Random random(1);
  for (const Metric metric : {Metric::l2, Metric::ip, Metric::cosine}) {
    for (const auto& [n, is_compact] :
         {std::pair{1, false}, {45, false}, {150, false}, {45, true}, {150, true}}) {
      GraphSettings settings;
      settings.dim = n == 45 ? 3 : 20;
      settings.metric = metric;
      settings.degree = n == 150 ? 64 : 32;
      settings.build_effort = 20;
      settings.sketch = n != 45;
      settings.is_compact = is_compact;
      Graph graph(settings, paradox::graph_kernels_scalar);
      graph.add(vectors(n, settings.dim, random).data(), n, 1);
      all.push_back(saved(settings, graph));
      if (n == 1) continue;
      std::vector<std::int64_t> gone;
      for (std::int64_t i = 0; i < n; i += 3) gone.push_back(i);
      graph.remove(gone.data(), static_cast<std::int64_t>(gone.size()), 1);
      graph.bypass(1, 1);
      all.push_back(saved(settings, graph));
    }
  }
  return all;
}

/// Fills a node's edges with one of its wards, so that it can give up none.
void fill_with_a_ward(Saved& saved, Random& random) {
  const paradox::NodeLayout layout(
      paradox::rotated_dim(paradox::lengthened_dim(saved.settings.dim, saved.settings.metric),
                           saved.settings.is_compact),
      saved.settings.degree, saved.settings.is_compact);
  Section& nodes = saved.sections[kNodes];
  const auto n = static_cast<std::uint32_t>(nodes.n_records());
  if (n < 2) return;
  const std::uint32_t node = random.below(n), ward = (node + 1 + random.below(n - 1)) % n;
  const auto at = [&](std::uint32_t i) {
    return paradox::Node(layout, nodes.bytes.data() + i * layout.stride);
  };
  at(node).header().n_edges = layout.degree;
  std::fill_n(at(node).neighbours(), layout.degree, ward);
  at(ward).header().guardian = node;
}

/// A graph that was accepted, in use beside the rows it is of.
class Use {
 public:
  Use(const GraphSettings& settings, Graph& graph, Random& random)
      : settings_(settings), graph_(graph), random_(random) {
    keeps_rows_ = random.below(3) != 0;
    rows_ = vectors(graph.size(), settings.dim, random);
    slots_.resize(static_cast<std::size_t>(graph.size()));
    std::iota(slots_.begin(), slots_.end(), 0);
  }

  void search() {
    const std::int64_t n = 1 + random_.below(3), k = 1 + random_.below(random_.below(8) ? 12 : 400);
    const std::int64_t some = 1 + random_.below(random_.below(8) ? 60 : 2147483647);
    const std::int64_t effort = !keeps_rows_ && random_.below(4) == 0 ? Graph::kEveryNode : some;
    const std::vector<float> queries = vectors(n, settings_.dim, random_);
    GraphRows rows;
    std::vector<double> norms(slots_.size(), 3.0);
    std::vector<std::int64_t> ids(slots_.size());
    for (std::size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<std::int64_t>(i) + fuzz::kFirstId;
    rows.vectors = keeps_rows_ ? rows_.data() : nullptr;
    rows.norms = norms.data();
    rows.ids = ids.data();
    rows.slots = is_whole() ? nullptr : slots_.data();
    const fuzz::Filter filter(slots_.size(), random_);
    if (filter.is_given) rows.allowed = filter.allowed.data();
    const auto may_be_found = [&](std::int64_t id) {
      const auto node = static_cast<std::size_t>(id - fuzz::kFirstId);
      return node < slots_.size() && slots_[node] >= 0 && filter.allowed[node] != 0;
    };
    for (const std::int64_t id : ids) rows.n_allowed += may_be_found(id) ? 1 : 0;
    fuzz::Found found(n, k);
    graph_.search(queries.data(), n, k, effort, rows, graph_.moment(seq_), 1, found.ids.data(),
                  found.distances.data());
    found.check(may_be_found);
    (void)graph_.is_outgrown();
    if (!keeps_rows_) decode();
  }

  void add() {
    const std::int64_t n = random_.below(3000) == 0 ? 2'100 : 1 + random_.below(40);
    const std::vector<float> more = vectors(n, settings_.dim, random_);
    graph_.add(more.data(), n, 1);
    rows_.insert(rows_.end(), more.begin(), more.end());
    for (std::int64_t i = 0; i < n; ++i) slots_.push_back(static_cast<std::int32_t>(slots_.size()));
    rows_.shrink_to_fit();
    slots_.shrink_to_fit();
    expect(graph_.size() == static_cast<std::int64_t>(slots_.size()), "a node a row");
  }

  void remove() {
    const std::uint32_t of_every = 1 + random_.below(8);
    std::vector<std::int64_t> gone;
    for (std::size_t node = 0; node < slots_.size(); ++node) {
      if (slots_[node] < 0 || random_.below(of_every) != 0) continue;
      slots_[node] = -1;
      gone.push_back(static_cast<std::int64_t>(node));
    }
    graph_.remove(gone.data(), static_cast<std::int64_t>(gone.size()), ++seq_);
    if (random_.below(2) == 0) graph_.bypass(seq_ - random_.below(2), 1);
  }

 private:
  /// Whether none is removed, and slots need not be told.
  bool is_whole() const {
    return std::all_of(slots_.begin(), slots_.end(), [](std::int32_t slot) { return slot >= 0; });
  }

  /// Takes the vectors that the nodes keep into another graph.
  void decode() {
    const std::int64_t node = random_.below(static_cast<std::uint32_t>(slots_.size()));
    std::vector<float> kept(static_cast<std::size_t>(settings_.dim));
    graph_.decode(&node, 1, kept.data(), 1);
    for (const float value : kept) expect(value == value, "a vector to be decoded");
    Graph other(settings_, paradox::graph_kernels_scalar);
    other.begin_as(graph_);
    other.add(kept.data(), 1, 1);
  }

  const GraphSettings& settings_;
  Graph& graph_;
  Random& random_;
  std::vector<float> rows_;
  std::vector<std::int32_t> slots_;
  std::uint32_t seq_ = 1;
  bool keeps_rows_;
};

bool run(const std::vector<Saved>& all, std::uint64_t seed) {
  Random random(seed);
  Saved some = all[random.below(static_cast<std::uint32_t>(all.size()))];
  const bool is_damaged = random.below(16) != 0;
  if (is_damaged && random.below(16) == 0) {
    fill_with_a_ward(some, random);
  } else if (is_damaged) {
    fuzz::Damage(random).of(some.sections);
  }
  Graph graph(some.settings, kernels_of(seed));
  if (!restore(some, graph)) {
    expect(is_damaged, "what is whole to be accepted");
    return false;
  }
  Use use(some.settings, graph, random);
  fuzz::search_and_change(use, random);
  const Saved again = saved(some.settings, graph);
  Graph copy(some.settings, kernels_of(seed));
  expect(restore(again, copy), "what was saved to be accepted");
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Saved> all = made();
  return fuzz::run_all("graph", argc, argv, [&](std::uint64_t seed) { return run(all, seed); });
}
