// Which lists are near: the lists' centres, in cells around centres of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "paradox/ivf/points.hpp"
#include "paradox/ivf/saved_lists.hpp"

namespace paradox {

/// Centres of lists near each other, and the numbers of the lists.
struct Cell {
  Points centres;
  std::vector<std::uint32_t> lists;  // ascending
};

/// A two-level quantiser: about √n cells of √n lists each.
class Coarse {
 public:
  Coarse(int dim, const IvfLevel& level) : dim_(dim), level_(level), cell_centres_(dim) {}

  std::int64_t n_lists() const { return static_cast<std::int64_t>(places_.size()); }
  std::int64_t bytes() const;

  /// Learns up to n lists from a sample.
  void train(const Points& sample, std::int64_t n, std::uint64_t seed, int threads);

  /// The nearest list of each point, as far as the cells nearest to it tell.
  std::vector<Nearest> assign(const Points& points, int threads) const;

  /// The `n` nearest lists of row i, nearest first, as far as the cells nearest to it tell.
  void probe(const Points& points, std::int64_t i, std::int64_t n,
             std::vector<Nearest>& found) const;

  Centre centre(std::uint32_t list) const {
    return cells_[places_[list].cell].centres.centre(places_[list].at);
  }

  /// Gives a list the first of two centres, and a new list beside it the second. What fails leaves
  /// all as it was.
  void split(std::uint32_t list, const Points& halves);

  /// Takes a list's centre away, and the cell where it was the last in it. The list of the greatest
  /// number has that of the one removed from now on.
  void remove(std::uint32_t list);

  /// Writes a list's centre into row i of others.
  void copy_centre(std::uint32_t list, Points& others, std::int64_t i) const {
    others.copy(i, cells_[places_[list].cell].centres, places_[list].at);
  }

  /// Makes the cells anew where the lists have become many more, or far fewer, than they were made
  /// for. What fails leaves all as it was.
  void regroup(std::uint64_t seed, int threads);

  /// Exchanges what was learnt, of one dimension and level.
  void swap(Coarse& other) noexcept;

  /// What a quantiser is saved as: centres (n_lists, dim) with their scales and cells, and the
  /// same of the cells.
  std::int64_t n_cells() const { return cell_centres_.size(); }
  void save(std::int16_t* centres, float* scales, std::uint32_t* cells, std::int16_t* cell_centres,
            float* cell_scales) const;
  /// False where that cannot be a quantiser.
  bool restore(const SavedLists& saved);

 private:
  struct Place {
    std::uint32_t cell, at;
  };

  void take_out(Place place);
  void put_in(std::uint32_t list, std::uint32_t cell, const Points& centre);
  /// Notes where the lists of a cell are from one on.
  void renumber(std::uint32_t cell, std::uint32_t from);
  void remove_cell(std::uint32_t cell);
  /// Puts lists, by their centres, into cells around these centres.
  void group(Points cell_centres, const Points& centres, const std::vector<Nearest>& cells);
  /// Makes points of a section; false where those would overflow what is computed of them.
  bool restore(const Section<std::int16_t>& centres, const Section<float>& scales,
               Points& points) const;

  int dim_;
  const IvfLevel& level_;
  Points cell_centres_;
  std::vector<Cell> cells_;
  std::vector<Place> places_;  // of each list
};

}  // namespace paradox
