// Inverted lists: vectors by the centre nearest to them, the signs of their residuals packed for
// byte shuffles, and 8-bit residuals beside them that are read only for rows that may be near
// (codes: RaBitQ, Gao and Long, SIGMOD 2024; packing: André, Kermarrec and Le Scouarnec, PVLDB 9).
//
// Everything is rotated. Of a row x in the list of centre c, with residual r = x - c and signs s,
// the squared distance to a query q is
//
//     |q - c|^2 + |r|^2 + 2 <c, r> - 2 <q, r>
//
// Signs give 2 <q - c, r> ~ slope (<q, s> - <c, s>), slope = 2 |r|^2 / sum |r_i|, and 8-bit
// residuals nearly all of it. Arguments are trusted. One writer at a time and no reader beside it.
// What fails for want of memory leaves all as it was, but for whole slabs of an `add`.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "paradox/answers.hpp"
#include "paradox/graph/rotation.hpp"
#include "paradox/ivf/coarse.hpp"
#include "paradox/ivf/inverted_list.hpp"
#include "paradox/ivf/saved_lists.hpp"
#include "paradox/matrix.hpp"

namespace paradox {

struct IvfSettings {
  int dim = 0;
  Metric metric = Metric::l2;  // cosine: Euclidean, of the vectors' directions
  std::uint64_t seed = 0;
};

/// The vectors themselves and their ids, by row number.
struct IvfRows {
  const void* vectors = nullptr;  // (n, dim) float32 or float16; null: none are kept
  const std::int64_t* ids = nullptr;
  DType dtype = DType::f32;
  const std::uint8_t* allowed = nullptr;  // whether a row may be found; null: all may
  std::int64_t n_allowed = 0;
};

/// The list that a row is in, and the row's number.
using ListedRow = std::pair<std::uint32_t, std::uint32_t>;

/// A row that may be among the nearest, by its distance as kept.
struct IvfCandidate {
  float distance;
  std::uint32_t number, list, at;
  bool operator<(const IvfCandidate& other) const {
    return distance < other.distance || (distance == other.distance && number < other.number);
  }
};

/// What a search needs, and keeps, of a query.
struct IvfScratch {
  AlignedVector<float> input, rotated, residual;
  Points point;
  double norm = 0.0;   // of the query as given; not under l2
  double scale = 1.0;  // inner product: what it is lengthened by
  AlignedVector<std::uint8_t> sign_entries;
  SignTable signs{};
  float table_error = 0.0f;  // variance of a sum of signs, from the rounding of the table
  std::vector<Nearest> probes;
  std::vector<IvfCandidate> waiting;  // passed by their signs; by the bound on their distance
  std::vector<IvfCandidate> nearest;  // a heap, the farthest first
  std::size_t n_kept = 0;
  std::vector<Answer> answers;

  static IvfScratch& of_this_thread();
};

/// Of a list by its number, among those that rows are encoded for.
using CentreOf = std::function<Centre(std::uint32_t)>;

/// Rows as their lists are to keep them, list by list.
struct EncodedRows {
  struct Factors {
    float offset, slope, excess;
  };
  std::vector<std::int64_t> order;  // of the rows as they came, by list
  std::vector<std::uint32_t> numbers, lists;
  std::vector<Factors> factors;
  std::vector<std::uint8_t> signs, supplements;  // of each row; the latter unless kept elsewhere
};

class Ivf {
 public:
  static constexpr std::int64_t kMaxRows = kNoRow;

  Ivf(const IvfSettings& settings, const IvfLevel& level);

  /// Rows that are not removed.
  std::int64_t size() const { return n_rows_ - n_removed_; }
  std::int64_t n_removed() const { return n_removed_; }
  std::int64_t n_lists() const { return coarse_.n_lists(); }
  std::int64_t bytes() const;
  int row_bytes() const { return static_cast<int>(layout_.row_bytes()); }

  /// Learns up to n_lists lists for n rows from a sample (n_sample, dim); there are no rows yet.
  void train(const float* sample, std::int64_t n_sample, std::int64_t n, std::int64_t n_lists,
             int threads);

  /// Adds vectors (n, dim) under numbers, in place of those that have these. With `lists` and
  /// `supplements` (n,), the supplements are written there instead of being kept, and lists are not
  /// split. Where it fails, the first slabs of the vectors may be there; `holds` tells.
  void add(const float* vectors, const std::int64_t* numbers, std::int64_t n, int threads,
           std::uint32_t* lists = nullptr, std::uint8_t* supplements = nullptr);

  void remove(const std::int64_t* numbers, std::int64_t n);
  bool holds(std::int64_t number) const {
    const auto at = static_cast<std::size_t>(number);
    return at < list_of_.size() && list_of_[at] != kNoRow;
  }

  /// Dissolves lists that rows have been removed from since the last call, and that are short:
  /// where the rows there are would be learnt n_wanted lists. Their rows go to the nearest of the
  /// others.
  void merge(std::int64_t n_wanted, int threads);

  /// The k nearest rows of each query in its `effort` nearest lists, by true distance where
  /// vectors are kept, equal ones by id. Both outputs are (n, k); -1 and +inf where there are
  /// fewer. Returns whether there are fewer than there could be.
  bool search(const float* queries, std::int64_t n, std::int64_t k, std::int64_t effort,
              const IvfRows& rows, int threads, std::int64_t* ids, float* distances) const;

  /// What lists are saved as, beside the quantiser: their blocks and supplements one after the
  /// other.
  const Coarse& coarse() const { return coarse_; }
  Coarse& coarse() { return coarse_; }
  const std::vector<float>& origin() const { return origin_; }
  float longest() const { return longest_; }
  float farthest() const { return farthest_; }
  std::int64_t split_size() const { return split_size_; }
  std::int64_t n_blocks() const;
  std::int64_t n_places() const { return n_rows_; }
  std::int64_t block_bytes() const { return layout_.block_bytes(); }
  void save(std::int64_t* sizes, float* units, std::uint8_t* blocks,
            std::uint8_t* supplements) const;

  /// Makes empty lists what was saved; blocks and supplements are read where they are from now on.
  /// False where that cannot be lists of rows with these ids (n_rows,), -1 for none, which are then
  /// of no use: what is accepted, nothing here reads beyond, whatever wrote it.
  bool restore(const SavedLists& saved, const std::int64_t* ids, std::int64_t n_rows);

 private:
  /// Rotates a vector, or a query, less the origin.
  void rotate(const float* vector, bool is_query, IvfScratch& scratch) const;
  double unit_scale(const float* vector) const;
  EncodedRows::Factors encode(const float* rotated, const Centre& its, IvfScratch& scratch,
                              std::uint8_t* signs, std::uint8_t* supplement) const;
  void decode(const Supplement& kept, const Centre& its, float* rotated) const;
  /// Encodes rows for the lists nearest to them; supplements go where these are kept, if not null.
  EncodedRows encode(const float* rotated, std::vector<std::uint32_t> numbers,
                     const std::vector<Nearest>& nearest, const CentreOf& centre_of, int threads,
                     std::uint8_t* supplements = nullptr) const;
  /// Appends row i of those encoded to a list that has room for it.
  void append(const EncodedRows& rows, std::size_t i, InvertedList& list) const noexcept;
  /// Puts rows into their lists, in place of those that have their numbers.
  void put(const EncodedRows& rows);
  /// Sorts rows that are in lists, each once, and makes room for what `take_out` does.
  void prepare_removal(std::vector<ListedRow>& rows);
  void take_out(const std::vector<ListedRow>& rows) noexcept;
  void compact_worn(const std::vector<ListedRow>& rows) noexcept;
  /// Takes over the next list of those saved; false where it cannot be one of them.
  bool restore(std::uint32_t list, std::int64_t n, float unit, const std::int64_t* ids,
               std::int64_t n_rows, Section<std::uint8_t>& blocks,
               Section<std::uint8_t>& supplements);
  void split_long_lists(std::vector<std::uint32_t> lists, int threads);
  bool split(std::uint32_t list);
  void compact(std::uint32_t list);
  std::vector<std::uint32_t> short_lists(std::int64_t n_wanted) const;
  bool is_beside_a_long_one(std::uint32_t list) const;
  void dissolve(const std::vector<std::uint32_t>& lists, int threads);

  void prepare(const float* query, IvfScratch& scratch) const;
  void scan(const Nearest& list, const IvfRows& rows, IvfScratch& scratch) const;
  void measure_waiting(const Nearest& list, IvfScratch& scratch) const;
  void answer(const float* query, const IvfRows& rows, IvfScratch& scratch) const;
  double true_distance(const float* query, const IvfRows& rows, std::int64_t number,
                       IvfScratch& scratch) const;
  double kept_distance(const float* query, const IvfCandidate& candidate,
                       IvfScratch& scratch) const;

  IvfSettings settings_;
  IvfLevel level_;
  ListLayout layout_;
  Rotation rotation_;
  Coarse coarse_;
  std::vector<float> origin_;  // subtracted from every vector; empty before training
  // Inner product: the norm that vectors are lengthened to, and queries: the greatest there was.
  float longest_ = 0.0f, farthest_ = 0.0f;
  std::int64_t split_size_ = 0;
  std::vector<InvertedList> lists_;
  std::vector<std::uint32_t> list_of_;  // of each row number
  std::vector<std::uint32_t> shrunk_;   // lists that rows were removed from
  std::int64_t n_rows_ = 0, n_removed_ = 0;
};

}  // namespace paradox
