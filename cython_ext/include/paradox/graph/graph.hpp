// A proximity graph whose nodes carry the quantised codes of their edges, so that expanding a node
// is one sequential read (SymphonyQG: Gou, Gao, Xu and Long, SIGMOD 2025; codes: RaBitQ, Gao and
// Long, SIGMOD 2024).
//
// A node keeps its vector rotated, as int8. Of an edge to a neighbour it keeps the signs of the
// residual r (neighbour less node) and two factors, from which a search estimates the key of the
// neighbour without reading it:
//
//     key(x) = term(x) - 2 <q, x>             term: |x|^2 under l2, 0 under inner product
//     <q, r> ~ <node, r> + f (<q, s> - <node, s>),  s = sign(r),  f = |r|^2 / sum |r_i|
//
// The nodes of a compact graph keep nothing of an edge but where it leads: a search computes the
// keys of neighbours from their own int8 vectors.
//
// Arguments are trusted. Nodes are numbered in the order they come. All may throw std::bad_alloc;
// after an `add` that has, a graph is of no use any more, and `n_connected` tells.
//
// One writer at a time, and readers beside it and each other. A reader searches what there was at a
// moment: nodes that come later may lead it on, but are not found, and those removed later are. The
// writer therefore never moves or changes a node's vector; a node is reached only once it is whole;
// and a removed one is bypassed only when no reader of a moment before is left. What is changed
// under readers are edges. Every place for a neighbour holds the number of a node at all times, but
// a code and its factors may be those of the edge before, or half of them, while one is exchanged:
// for so long an estimate is wrong, and leads a search astray by a node, never to a wrong answer.
// The same holds of the last 31 nodes of the sketch. Of a compact graph only neighbours change.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/answers.hpp"
#include "paradox/graph/frontier.hpp"
#include "paradox/graph/graph_kernels.hpp"
#include "paradox/graph/keyed_node.hpp"
#include "paradox/graph/node_store.hpp"
#include "paradox/graph/rotation.hpp"
#include "paradox/graph/sketch.hpp"
#include "paradox/lengths.hpp"
#include "paradox/thread_pool.hpp"

namespace paradox {

/// So many dimensions of the rotated entries tell where a search begins: on 200,000 MiniLM texts
/// 64 led to 2.9 expansions more than all 384 did, 192 to 0.5, in half of the time.
constexpr int kEntryDim = 192;
static_assert(kEntryDim % kDimStep == 0);

/// Between these the intrinsic dimension is measured.
constexpr float kLeastDimension = 2.0f, kMostDimension = 256.0f;

/// Of a node's edges this part at most leads to wards.
constexpr int kWardShare = 4;

struct GraphSettings {
  int dim = 0;
  Metric metric = Metric::l2;  // cosine: Euclidean, of the vectors' directions
  int degree = kEdgeBlock;     // a multiple of kEdgeBlock
  int build_effort = 80;       // nodes that a search for a node's neighbours expands
  std::uint64_t seed = 0;
  bool sketch = false;      // keep the sketch that sweeps read
  bool is_compact = false;  // no codes of edges: less memory, and more of it read by a search
};

/// A node at a squared distance, as the nodes are kept.
struct Neighbour {
  float distance;
  std::uint32_t node;
};

/// The order of a node's neighbours. Equal vectors follow each other in a ring, from the node on:
/// were the lowest numbers first for all, all would have the same few neighbours.
struct Nearer {
  std::uint32_t node;
  bool operator()(const Neighbour& a, const Neighbour& b) const { return key(a) < key(b); }

 private:
  /// In one number: the bits of distances, which are 0 or more, have their order.
  std::uint64_t key(const Neighbour& its) const {
    std::uint32_t bits;
    std::memcpy(&bits, &its.distance, sizeof(bits));
    return std::uint64_t{bits} << 32 | (its.node - node);
  }
};

/// The vectors themselves, which a graph does not keep: a node's is in the row of its slot.
struct GraphRows {
  const void* vectors = nullptr;  // (n_rows, dim) float32 or float16; null: none are kept
  DType dtype = DType::f32;
  const double* norms = nullptr;        // (n_rows,) of the vectors
  const std::int64_t* ids = nullptr;    // (n_rows,)
  const std::int32_t* slots = nullptr;  // (size(),) of the nodes, negative: in none; null: a node's
                                        // is its number
  const std::uint8_t* allowed = nullptr;  // (n_rows,) whether a row may be found; null: all may
  std::int64_t n_allowed = 0;

  std::int64_t slot_of(std::uint32_t node) const {
    return slots == nullptr ? std::int64_t{node} : slots[node];
  }
  bool allow(std::uint32_t node) const {
    const std::int64_t slot = slot_of(node);
    return slot >= 0 && allowed[slot] != 0;
  }
};

/// What a graph is, beside its settings and its nodes.
struct GraphState {
  std::vector<float> origin;           // subtracted from every vector; empty before the first
  std::vector<std::uint32_t> entries;  // nodes where searches may begin
  float longest = 0.0f;                // inner product: the norm that vectors are lengthened to
  float dimension = 0.0f;              // intrinsic, around the nodes; 0 while it is not known
  // Numbers of nodes: those the origin and the entries were chosen among, those there were when
  // components were joined, and those that are bypassed.
  std::int64_t n_at_origin = 0, n_at_choice = 0, n_at_join = 0, n_bypassed = 0;
};

/// The entries, by the signs of the first dimensions of their rotated vectors: never changed, only
/// exchanged for others.
struct Entries {
  std::vector<std::uint32_t> nodes;
  AlignedVector<std::uint8_t> codes;
  std::vector<Half> offsets, slopes;
  float offset_scale = 0.0f, slope_scale = 0.0f;
};

/// What a search sees of a graph. Writes are numbered from 1.
struct GraphMoment {
  static constexpr std::uint32_t kNewest = std::numeric_limits<std::uint32_t>::max() - 1;

  std::uint32_t seq = kNewest;  // the last write that had removed nodes
  std::uint32_t n_nodes = std::numeric_limits<std::uint32_t>::max();  // those from there on are new
  std::int64_t n_live = 0;  // of these, the nodes that are not removed
  float dimension = 0.0f;
  std::shared_ptr<const Entries> entries;
};

/// How far a search goes. It ends once the nearest node that it knows of and has not expanded is
/// farther than the k-th found by more than a factor (Al-Jazzazi, Diwan, Gou, Musco, Musco and
/// Suel, 2025), or it has expanded so many: a query with many nodes about as near goes farther than
/// one with few.
struct Reach {
  int n_expanded;    // at most
  std::size_t k;     // 0: it ends there alone
  float factor = 0;  // of squared distances
};

/// How a search sweeps. None does while `n_kept` is 0.
struct Sweep {
  std::size_t n_kept = 0;  // nodes it ends with: the nearest by their own vectors
  float certainty = 0.0f;  // standard errors that an estimate is allowed
};

/// What a search needs, and keeps, of a query.
struct SearchScratch {
  AlignedVector<float> input, rotated, row, entry_keys;
  AlignedVector<std::int16_t> values;  // the query in int16 steps
  float step = 0.0f;
  double norm = 0.0;         // of the query as given
  double scale = 1.0;        // what it was multiplied by
  double length = 0.0;       // of the query as rotated
  float key_of_zero = 0.0f;  // the key of a node at distance 0
  AlignedVector<std::uint8_t> sign_entries, residual_signs, block_signs;
  SignTable signs{};
  Frontier frontier;
  std::vector<std::uint64_t> found;    // measured nodes that may be answers, by KeyedNode
  std::vector<float> nearest;          // the k least keys among them, as a heap
  std::vector<std::uint32_t> waiting;  // nodes that a sweep has still to measure
  std::vector<Answer> answers;

  static SearchScratch& of_this_thread();
};

/// A search expands so many times its effort at most, and some nodes on its way from the entries:
/// of efforts up to 4 these are most.
constexpr int kTimesEffort = 3, kOnTheWay = 16;

/// Takes a key into a heap of the k least; whether these are k and have changed.
bool keep_least(std::vector<float>& heap, std::size_t k, float key);

class Graph {
 public:
  static constexpr std::int64_t kMaxNodes = std::int64_t{1} << 30;
  /// The effort that looks at every node.
  static constexpr std::int64_t kEveryNode = 0;

  Graph(const GraphSettings& settings, const GraphKernels& kernels);

  std::int64_t size() const { return nodes_.size(); }
  /// Those that have their edges: all, unless an `add` has thrown.
  std::int64_t n_connected() const { return n_connected_; }
  std::int64_t bytes() const { return nodes_.bytes() + sketch_.bytes(); }

  /// Appends n vectors (n, dim). Many at once, beside those there are, are built in bulk.
  void add(const float* vectors, std::int64_t n, int threads);

  /// Takes nodes out of the answers of moments from write `seq` on, which is not below that of any
  /// removal before. Searches pass over them until they are bypassed.
  void remove(const std::int64_t* nodes, std::int64_t n, std::uint32_t seq);

  /// Bypasses the nodes removed up to write `seq`, if these are many; whether that was so. Nobody
  /// may search a moment before that write any more.
  bool bypass(std::uint32_t seq, int threads);

  /// What there is now, the removals up to write `seq` among it: of the nodes those that have their
  /// edges.
  GraphMoment moment(std::uint32_t seq) const {
    return {seq, static_cast<std::uint32_t>(n_connected_), n_connected_ - n_removed_,
            state_.dimension, entries_};
  }

  /// The k nearest rows of each query, as far as `effort` finds them, by true distance, equal ones
  /// by id: none of a query longer than `kGreatestLength`, but under cosine. Both outputs are (n,
  /// k); -1 and +inf where there are fewer. Returns whether there are fewer than there could be.
  /// Where no rows are kept, distances are those of the nodes' own vectors, and `kEveryNode` finds
  /// the nearest of these to any query.
  bool search(const float* queries, std::int64_t n, std::int64_t k, std::int64_t effort,
              const GraphRows& rows, const GraphMoment& moment, int threads, std::int64_t* ids,
              float* distances) const;

  /// Whether an `add` of n vectors gives all nodes other edges: meanwhile, searches find less.
  bool is_bulk(std::int64_t n) const;

  /// Whether what the first vectors decided does not fit those there are: made anew from all of
  /// them, a graph would find more.
  bool is_outgrown() const;

  /// Makes an empty graph keep vectors as another does: the same origin, the same lengths.
  void begin_as(const Graph& other);
  /// Writes the vectors of n nodes as they are kept, (n, dim).
  void decode(const std::int64_t* nodes, std::int64_t n, float* out, int threads) const;

  /// What a graph is saved as: its state, and its nodes (size(), node_bytes()).
  const GraphState& state() const { return state_; }
  std::int64_t node_bytes() const { return layout_.stride; }
  void save_nodes(std::uint8_t* out) const;

  /// Makes an empty graph what was saved. False where that cannot be a graph, which is then of no
  /// use: what is accepted, nothing here reads or counts beyond, whatever wrote it.
  bool restore(const std::uint8_t* nodes, std::int64_t n, const GraphState& state, int threads);

 private:
  friend class BulkBuild;
  friend class Insertion;
  friend class Bypass;
  friend class Directions;
  friend class ProductEdges;

  Int8Vector vector(std::uint32_t node) const {
    return {nodes_[node].vector(), nodes_[node].header().scale};
  }
  float distance(std::uint32_t a, std::uint32_t b) const;
  /// The same, by the product of the two vectors.
  static float distance(const NodeHeader& x, const NodeHeader& y, std::int32_t dot);
  /// Products of a node's vector with those of n others.
  void products(std::uint32_t node, const std::uint32_t* others, std::size_t n,
                std::int32_t* out) const;

  bool is_product() const { return settings_.metric == Metric::ip; }
  /// What a vector is multiplied by.
  double unit_scale(const float* vector) const;
  /// Euclidean norm of (n,) values.
  double norm(const float* values, std::int64_t n) const {
    return std::sqrt(kernels_.dot_product(values, values, n));
  }
  void choose_origin(const float* vectors, std::int64_t n);
  void store(std::uint32_t node, const float* vector, SearchScratch& scratch);

  /// Gives a node its neighbours, of which pruning chose the first, and computes their codes.
  void connect(std::uint32_t node, const std::vector<std::uint32_t>& neighbours,
               std::size_t n_chosen);
  /// Gives a node another neighbour, or one more.
  void set_edge(std::uint32_t node, int edge, std::uint32_t neighbour, bool is_chosen);
  /// Gives a node one more neighbour, perhaps for another, if pruning would.
  void offer_edge(std::uint32_t node, std::uint32_t neighbour);
  struct EdgeFactors {
    float offset, slope;
  };
  /// Writes the code of an edge, and returns its factors.
  EdgeFactors encode_edge(std::uint32_t node, int edge) const;
  /// The factors of an edge by the product of the two vectors; writes its signs, a bit each.
  EdgeFactors code_of_edge(std::uint32_t node, std::uint32_t neighbour, std::int32_t product,
                           std::uint8_t* signs) const;
  /// Writes the code of a node's vector, by its first dimensions, as of an edge from the origin.
  EdgeFactors encode_vector(std::uint32_t node, int dim, int edge, std::uint8_t* codes) const;
  /// Writes the codes and the factors of all edges of a node.
  void encode_edges(std::uint32_t node);
  std::vector<std::uint32_t> neighbours_of(std::uint32_t node) const;
  /// The nodes that a search for a node expands, itself perhaps among them.
  std::vector<std::uint32_t> met_on_the_way_to(std::uint32_t node) const;
  /// Other nodes with their distances from a node, which is left out.
  std::vector<Neighbour> with_distances(std::uint32_t node,
                                        const std::vector<std::uint32_t>& others) const;
  /// Other nodes by distance from a node, which is left out, each once; these are sorted too.
  std::vector<Neighbour> by_distance(std::uint32_t node, std::vector<std::uint32_t>& others) const;
  /// Keeps up to `degree` of a node's neighbours, which come nearest first: its wards, those that
  /// none kept before is much nearer to, and then the nearest of the others. Returns how many there
  /// are of the first two. Nodes that are `apart`, in order of their numbers, are known not to be
  /// much nearer to each other.
  std::size_t prune(std::uint32_t node, const std::vector<Neighbour>& nearest,
                    const std::vector<std::uint32_t>& apart,
                    std::vector<std::uint32_t>* kept) const;
  /// Whether a neighbour kept before is much nearer to a candidate than the node is.
  bool is_covered(const Neighbour& candidate, const std::vector<std::uint32_t>& kept) const;
  bool has_edge(std::uint32_t parent, std::uint32_t child) const;
  /// Makes a node that none of its neighbours has for a neighbour that of the nearest one.
  void adopt_if_orphan(std::uint32_t node);
  /// Makes a node a child of another, which gives one up where it has too many: no ward, and one
  /// that pruning did not choose if it has such.
  void adopt(std::uint32_t parent, std::uint32_t child);
  /// Makes a node the guardian of another; false if it has too many wards.
  bool guard(std::uint32_t guardian, std::uint32_t ward);
  bool has_room(std::uint32_t guardian) const;
  bool is_ward(std::uint32_t node, std::uint32_t guardian) const {
    return node != guardian && nodes_[node].header().guardian == guardian;
  }
  void forget_guardians();
  /// Gives every node that is not removed a guardian, and so a way from the first entry; and one
  /// there to those that had no way.
  void join_components();
  bool join_components_once();  // whether any had none
  /// The nearest to a node, of those with room for a ward, that greedy steps over reached nodes
  /// come to.
  std::uint32_t nearest_reached(std::uint32_t node,
                                const std::vector<std::uint8_t>& is_reached) const;
  /// Chooses among the first n nodes, which must have their edges, those that are not removed.
  void choose_entries(std::uint32_t n, int threads);
  void encode_entries();
  /// Sketches the nodes from one on.
  void sketch(std::uint32_t begin, int threads);

  /// Whether a state could be that of n nodes, and a node one of them.
  bool may_be(const GraphState& state, std::int64_t n) const;
  bool may_be(const Node& node, std::int64_t n) const;

  void prepare(const float* query, double norm, SearchScratch& scratch) const;
  void prepare(std::uint32_t node, SearchScratch& scratch) const;
  void prepare_rotated(SearchScratch& scratch) const;
  /// Fills `scratch.found` with the nodes it expands that are there at a moment and that a filter
  /// allows. Returns whether it has expanded as many as it may.
  bool walk(SearchScratch& scratch, const Reach& reach, const GraphMoment& moment,
            const GraphRows* filter = nullptr) const;
  /// The same over compact nodes, from the frontier as it is.
  bool walk_compact(SearchScratch& scratch, const Reach& reach, const GraphMoment& moment,
                    const GraphRows* filter) const;
  /// Fills `scratch.found` from estimates of all nodes: where a walk would expand so many that
  /// reading them costs more, and what it missed would still be missed.
  void sweep(SearchScratch& scratch, const Sweep& sweep, const GraphMoment& moment,
             const GraphRows* filter) const;
  /// Measures the nodes that wait, and takes in those near enough.
  void measure_waiting(SearchScratch& scratch, std::size_t n_kept, const GraphMoment& moment) const;
  Sweep sweep_of(std::int64_t k, std::int64_t effort, const GraphRows& rows,
                 const GraphMoment& moment) const;
  /// The one for queries whose walk found too few of what a filter allows: less than are wanted, or
  /// less than its effort after as many nodes as it may expand, as then those lie elsewhere. None
  /// where a scan takes less.
  Sweep sweep_after_walk(std::int64_t k, const GraphRows& rows, const GraphMoment& moment) const;
  /// Fills `scratch.found` with those of all nodes that may be among the k nearest.
  void look_at_all(SearchScratch& scratch, std::int64_t k, const GraphMoment& moment,
                   const GraphRows* filter) const;
  /// Whether a search of a moment may find a node. The filter's slots are those of the moment.
  bool may_be_found(std::uint32_t node, const GraphMoment& moment, const GraphRows* filter) const {
    return node < moment.n_nodes && nodes_[node].header().is_there_at(moment.seq) &&
           (filter == nullptr || filter->allow(node));
  }
  /// As the writer sees it: nodes that wait for their edges too.
  GraphMoment newest() const {
    return {GraphMoment::kNewest, static_cast<std::uint32_t>(size()), size() - n_removed_,
            state_.dimension, entries_};
  }
  /// The key of a node to the query that `scratch` is prepared for, from the node's vector.
  float node_key(const Node& node, const SearchScratch& scratch) const {
    const NodeHeader& header = node.header();
    const std::int32_t dot = kernels_.dot_i16i8(scratch.values.data(), node.vector(), layout_.dim);
    return header.term - 2.0f * (scratch.step * header.scale) * static_cast<float>(dot);
  }
  /// Drops found nodes that are not among the k nearest.
  void keep_nearest(SearchScratch& scratch, std::int64_t k) const;
  /// Keys above this are of no use to a search that has found what it has.
  float farthest(const SearchScratch& scratch, const Reach& reach) const;
  /// Of the nodes that are there at a moment.
  double share_allowed(const GraphRows& rows, const GraphMoment& moment) const;
  Reach reach_of(std::int64_t k, std::int64_t effort, const GraphRows& rows,
                 const GraphMoment& moment) const;
  /// Measures the nodes that were found and may be among the k nearest.
  void measure(const float* query, std::int64_t k, const GraphRows& rows,
               SearchScratch& scratch) const;
  /// Measures how fast the number of nodes grows with the distance.
  void measure_dimension(int threads);
  void enter(SearchScratch& scratch, const Entries& entries) const;
  double true_distance(const float* query, const GraphRows& rows, std::int64_t slot,
                       SearchScratch& scratch) const;
  /// The distance of a node's own vector.
  double kept_distance(const float* query, std::uint32_t node, SearchScratch& scratch) const;
  /// The key up to which a node may still be nearer than the k-th found so far.
  float last_key(const SearchScratch& scratch, std::int64_t k) const;

  GraphSettings settings_;
  const GraphKernels& kernels_;
  NodeLayout layout_;
  Rotation rotation_;
  NodeStore nodes_;
  Sketch sketch_;
  GraphState state_;
  std::int64_t n_connected_ = 0, n_removed_ = 0;
  // Removed nodes that no reader can find any more as far as is known, and the others by write.
  std::int64_t n_settled_ = 0;
  std::deque<std::pair<std::uint32_t, std::int64_t>> unsettled_;
  float longest_seen_ = 0.0f;  // inner product: the greatest norm of a node

  int entry_dim() const { return std::min(layout_.dim, kEntryDim); }
  std::shared_ptr<const Entries> entries_ = std::make_shared<Entries>();  // state_.entries
};

/// Runs body(i) for each i in [0, n), `chunk` of them a task.
template <class Body>
void for_each(std::int64_t n, std::int64_t chunk, int threads, const Body& body) {
  ThreadPool::instance().run((n + chunk - 1) / chunk, threads, [&](std::int64_t task) {
    const std::int64_t end = std::min(n, (task + 1) * chunk);
    for (std::int64_t i = task * chunk; i < end; ++i) body(i);
  });
}

}  // namespace paradox
