// Where the parts of a node lie: one block of memory holds all that a search reads of it.
//
//     NodeHeader | int8 vector | edge codes | edge offsets | edge slopes | neighbours
//
// A compact node has only header, vector and neighbours: a search reads the neighbours' vectors.
//
// The codes are the signs of the residuals (neighbour less node), in blocks of 32 edges: of every
// four dimensions 16 bytes, whose low nibbles are the signs of edges 0 to 15 of the block and whose
// high nibbles those of edges 16 to 31, as a 16-entry byte shuffle wants them (FastScan; André,
// Kermarrec and Le Scouarnec, PVLDB 9).
#pragma once

#include <cstdint>

#include "paradox/matrix.hpp"
#include "paradox/shared_word.hpp"

namespace paradox {

/// Edges whose codes are scanned together, and the most a node may have.
constexpr int kEdgeBlock = 32, kMostEdges = 128;

/// Dimensions are padded to a multiple of this, so that no kernel has a tail.
constexpr int kDimStep = 32;

/// Factors of edges are kept as roots: a square of 8 bits is fine where it is small, so one edge
/// far longer than a node's others does not spoil theirs.
struct EdgeOffset {
  std::int8_t root;  // of its absolute value, with its sign
};
struct EdgeSlope {
  std::uint8_t root;
};

struct NodeHeader {
  float scale;         // value of one step of the int8 vector
  float squares;       // squared norm of the vector as kept
  float term;          // what is added to -2 <query, node>: the squared norm, or 0
  float offset_scale;  // value of an edge's offset whose root is 1
  float slope_scale;   // the same of a slope
  std::int32_t n_edges;
  std::uint32_t removed_at;  // the write since which it is in no answer, but on the way; 0: none
  std::uint32_t guardian;    // a node that never gives this one up as a neighbour; itself: none
  std::int32_t n_wards;      // nodes whose guardian this one is
  // A bit an edge: pruning kept it, and did not only fill up with it.
  std::uint64_t chosen[kMostEdges / 64];

  bool is_removed() const { return removed_at != 0; }
  /// Whether it was not removed by then. Without a branch: `removed_at == 0 || removed_at > seq`.
  bool is_there_at(std::uint32_t seq) const { return peek_word(removed_at) - 1 >= seq; }

  bool is_chosen(int edge) const { return (chosen[edge / 64] >> edge % 64 & 1) != 0; }
  void set_chosen(int edge, bool is_chosen) {
    chosen[edge / 64] &= ~(std::uint64_t{1} << edge % 64);
    chosen[edge / 64] |= std::uint64_t{is_chosen} << edge % 64;
  }
};
static_assert(sizeof(NodeHeader) == 56);

struct NodeLayout {
  int dim = 0;     // of the vectors as kept: padded and rotated
  int degree = 0;  // a multiple of kEdgeBlock
  bool is_compact = false;
  std::int64_t codes = 0, offsets = 0, slopes = 0, neighbours = 0, stride = 0;

  NodeLayout(int dim, int degree, bool is_compact)
      : dim(dim),
        degree(degree),
        is_compact(is_compact),
        codes(sizeof(NodeHeader) + dim),
        offsets(codes + (is_compact ? 0 : std::int64_t{degree} * dim / 8)),
        slopes(offsets + (is_compact ? 0 : degree)),
        neighbours(slopes + (is_compact ? 0 : degree)),
        stride((neighbours + 4 * degree + 63) / 64 * 64) {}

  std::int64_t block_bytes() const { return std::int64_t{kEdgeBlock} * dim / 8; }
};

/// One node, in its memory.
class Node {
 public:
  Node(const NodeLayout& layout, std::uint8_t* data) : layout_(&layout), data_(data) {}

  NodeHeader& header() const { return *reinterpret_cast<NodeHeader*>(data_); }
  std::int8_t* vector() const { return reinterpret_cast<std::int8_t*>(data_ + sizeof(NodeHeader)); }
  std::uint8_t* codes(int block) const {
    return data_ + layout_->codes + block * layout_->block_bytes();
  }
  EdgeOffset* offsets() const { return reinterpret_cast<EdgeOffset*>(data_ + layout_->offsets); }
  EdgeSlope* slopes() const { return reinterpret_cast<EdgeSlope*>(data_ + layout_->slopes); }
  std::uint32_t* neighbours() const {
    return reinterpret_cast<std::uint32_t*>(data_ + layout_->neighbours);
  }
  const std::uint8_t* data() const { return data_; }

 private:
  const NodeLayout* layout_;
  std::uint8_t* data_;
};

}  // namespace paradox
