#include "paradox/ivf/coarse.hpp"

#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>

#include "paradox/ivf/kmeans.hpp"
#include "paradox/lengths.hpp"
#include "paradox/thread_pool.hpp"

namespace paradox {
namespace {

/// Rounds of Lloyd's algorithm: among the cells, within each, and over all lists in the end.
constexpr int kCellRounds = 10, kListRounds = 8, kLastRounds = 2;

/// Points of the sample that the cells are learnt from, each.
constexpr std::int64_t kPointsACell = 256;

/// Cells whose lists a point is compared with where it is put into one.
constexpr std::size_t kCellsOfAPoint = 8;

/// A search compares a query with so many times the lists it looks into, and cells at least.
constexpr std::int64_t kListsAProbe = 24, kCellsOfAQuery = 16;

constexpr std::int64_t kPointsATask = 1024;

std::vector<std::uint32_t> all_of(std::int64_t n) {
  std::vector<std::uint32_t> numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

std::int64_t cells_for(std::int64_t n_lists) {
  return std::max<std::int64_t>(std::llround(std::sqrt(static_cast<double>(n_lists))), 1);
}

/// The kCellsOfAPoint nearest cells, nearest first. No branch depends on what comes, since none
/// could be guessed: with `nth_element` 100,000 x 128 take 5 percent longer to learn and add.
class NearestCells {
 public:
  NearestCells() { std::fill_n(keys_, kCellsOfAPoint, ~std::uint64_t{0}); }

  void offer(float distance, std::uint32_t cell) {
    std::uint32_t bits;  // of 0 or more, in the order of the floats
    std::memcpy(&bits, &distance, sizeof bits);
    std::uint64_t offered = std::uint64_t{bits} << 32 | cell;
    for (std::uint64_t& key : keys_) {
      const std::uint64_t greater = std::max(key, offered);
      key = std::min(key, offered);
      offered = greater;
    }
  }
  std::uint32_t cell(std::size_t i) const { return static_cast<std::uint32_t>(keys_[i]); }

 private:
  std::uint64_t keys_[kCellsOfAPoint];
};

}  // namespace

std::int64_t Coarse::bytes() const {
  const std::int64_t row = 2 * std::int64_t{dim_} + 8;
  return n_lists() * (row + 12) + n_cells() * row;
}

void Coarse::train(const Points& sample, std::int64_t n, std::uint64_t seed, int threads) {
  const std::vector<std::uint32_t> all = all_of(sample.size());
  const std::int64_t n_cells = cells_for(n);
  std::vector<std::uint32_t> some;
  const std::int64_t step = std::max<std::int64_t>(sample.size() / (n_cells * kPointsACell), 1);
  for (std::int64_t i = 0; i < sample.size(); i += step)
    some.push_back(all[static_cast<std::size_t>(i)]);
  cell_centres_ = kmeans(level_, sample, some, n_cells, kCellRounds, seed, threads);

  const std::vector<Nearest> cell_of = nearest_centres(level_, sample, all, cell_centres_, threads);
  std::vector<std::vector<std::uint32_t>> members(static_cast<std::size_t>(this->n_cells()));
  for (const std::uint32_t i : all) members[cell_of[i].centre].push_back(i);
  std::vector<Points> parts(members.size(), Points(dim_));
  const double share = static_cast<double>(n) / static_cast<double>(sample.size());
  ThreadPool::instance().run(this->n_cells(), threads, [&](std::int64_t c) {
    const auto at = static_cast<std::size_t>(c);
    const std::int64_t wanted = std::llround(share * static_cast<double>(members[at].size()));
    parts[at] = kmeans(level_, sample, members[at], std::max<std::int64_t>(wanted, 1), kListRounds,
                       seed + 1 + static_cast<std::uint64_t>(c), 1);
  });

  Points centres(dim_);
  std::vector<Nearest> cells;
  for (std::size_t c = 0; c < parts.size(); ++c) {
    const std::int64_t begin = centres.size();
    centres.resize(begin + parts[c].size());
    for (std::int64_t i = 0; i < parts[c].size(); ++i) {
      centres.copy(begin + i, parts[c], i);
      cells.push_back({0.0f, static_cast<std::uint32_t>(c)});
    }
  }
  group(cell_centres_, centres, cells);
  for (int round = 0; round < kLastRounds; ++round) {
    std::vector<Nearest> nearest = assign(sample, threads);
    move_to_means(level_, sample, all, nearest, centres, threads);
    group(cell_centres_, centres, cells);
  }
}

void Coarse::group(Points cell_centres, const Points& centres, const std::vector<Nearest>& cells) {
  std::vector<Cell> grouped(static_cast<std::size_t>(cell_centres.size()), Cell{Points(dim_), {}});
  std::vector<Place> places(static_cast<std::size_t>(centres.size()));
  for (std::size_t list = 0; list < places.size(); ++list) {
    Cell& cell = grouped[cells[list].centre];
    const auto at = static_cast<std::uint32_t>(cell.lists.size());
    cell.lists.push_back(static_cast<std::uint32_t>(list));
    cell.centres.resize(at + 1);
    cell.centres.copy(at, centres, static_cast<std::int64_t>(list));
    places[list] = {cells[list].centre, at};
  }
  cell_centres_ = std::move(cell_centres);
  cells_.swap(grouped);
  places_.swap(places);
}

void Coarse::swap(Coarse& other) noexcept {
  std::swap(cell_centres_, other.cell_centres_);
  cells_.swap(other.cells_);
  places_.swap(other.places_);
}

std::vector<Nearest> Coarse::assign(const Points& points, int threads) const {
  constexpr Nearest kNone{__builtin_inff(), 0};
  std::vector<Nearest> found(static_cast<std::size_t>(points.size()), kNone);
  const std::int64_t n_tasks = (points.size() + kPointsATask - 1) / kPointsATask;
  ThreadPool::instance().run(n_tasks, threads, [&](std::int64_t task) {
    const std::int64_t begin = task * kPointsATask;
    std::vector<std::uint32_t> some = all_of(std::min(kPointsATask, points.size() - begin));
    for (std::uint32_t& point : some) point += static_cast<std::uint32_t>(begin);
    std::vector<std::vector<std::uint32_t>> visitors(cells_.size());
    for_each_point_of(level_, points, some, cell_centres_,
                      [&](std::size_t at, const float* distances, std::size_t) {
                        NearestCells nearest;
                        for (std::size_t c = 0; c < cells_.size(); ++c) {
                          nearest.offer(distances[c], static_cast<std::uint32_t>(c));
                        }
                        const std::size_t n = std::min(kCellsOfAPoint, cells_.size());
                        for (std::size_t i = 0; i < n; ++i) {
                          visitors[nearest.cell(i)].push_back(some[at]);
                        }
                      });
    for (std::size_t c = 0; c < cells_.size(); ++c) {
      const Cell& cell = cells_[c];
      if (cell.lists.empty()) continue;
      for_each_point_of(level_, points, visitors[c], cell.centres,
                        [&](std::size_t at, const float* distances, std::size_t least) {
                          const Nearest one{distances[least], cell.lists[least]};
                          Nearest& best = found[visitors[c][at]];
                          if (one < best) best = one;
                        });
    }
  });
  return found;
}

void Coarse::probe(const Points& points, std::int64_t i, std::int64_t n,
                   std::vector<Nearest>& found) const {
  thread_local std::vector<std::int32_t> dots;
  thread_local std::vector<float> distances;
  thread_local std::vector<Nearest> cells;
  const auto offer = [&](const Points& centres, std::vector<Nearest>& out, const auto& name) {
    const auto m = static_cast<std::size_t>(centres.size());
    if (dots.size() < m) {
      dots.resize(m);
      distances.resize(m);
    }
    level_.own.dots_1xn(points.row(i), centres.row(0), centres.size(), dim_, dots.data());
    measure(level_, points, i, centres, dots.data(), distances.data());
    for (std::size_t j = 0; j < m; ++j) out.push_back({distances[j], name(j)});
  };
  cells.clear();
  offer(cell_centres_, cells, [](std::size_t j) { return static_cast<std::uint32_t>(j); });
  std::sort(cells.begin(), cells.end());
  found.clear();
  std::int64_t n_cells = 0;
  for (const Nearest& near : cells) {
    const Cell& cell = cells_[near.centre];
    if (n_cells++ >= kCellsOfAQuery &&
        static_cast<std::int64_t>(found.size()) >= kListsAProbe * n) {
      break;
    }
    if (cell.lists.empty()) continue;
    offer(cell.centres, found, [&cell](std::size_t j) { return cell.lists[j]; });
  }
  const auto kept = static_cast<std::ptrdiff_t>(
      std::min<std::int64_t>(n, static_cast<std::int64_t>(found.size())));
  std::partial_sort(found.begin(), found.begin() + kept, found.end());
  found.resize(static_cast<std::size_t>(kept));
}

void Coarse::split(std::uint32_t list, const Points& halves) {
  const auto added = static_cast<std::uint32_t>(places_.size());
  const auto [cell, place] = places_[list];
  const auto at = static_cast<std::uint32_t>(cells_[cell].lists.size());
  Points centres(dim_);
  centres.resize(at + 1);
  for (std::uint32_t i = 0; i < at; ++i) centres.copy(i, cells_[cell].centres, i);
  centres.copy(place, halves, 0);
  centres.copy(at, halves, 1);
  places_.push_back({cell, at});
  try {
    cells_[cell].lists.push_back(added);
  } catch (...) {
    places_.pop_back();
    throw;
  }
  std::swap(cells_[cell].centres, centres);
}

void Coarse::remove(std::uint32_t list) {
  const auto last = static_cast<std::uint32_t>(places_.size() - 1);
  const std::uint32_t cell = places_[list].cell;
  take_out(places_[list]);
  if (list != last) {
    const Place place = places_[last];
    Points centre(dim_);
    centre.resize(1);
    copy_centre(last, centre, 0);
    take_out(place);
    put_in(list, place.cell, centre);
  }
  places_.pop_back();
  if (cells_[cell].lists.empty()) remove_cell(cell);
}

void Coarse::take_out(Place place) {
  Cell& cell = cells_[place.cell];
  cell.lists.erase(cell.lists.begin() + place.at);
  cell.centres.erase(place.at);
  renumber(place.cell, place.at);
}

void Coarse::put_in(std::uint32_t list, std::uint32_t cell, const Points& centre) {
  std::vector<std::uint32_t>& lists = cells_[cell].lists;
  const auto before = std::lower_bound(lists.begin(), lists.end(), list);
  const auto at = static_cast<std::uint32_t>(before - lists.begin());
  lists.insert(before, list);
  cells_[cell].centres.insert(at, centre, 0);
  renumber(cell, at);
}

void Coarse::renumber(std::uint32_t cell, std::uint32_t from) {
  const std::vector<std::uint32_t>& lists = cells_[cell].lists;
  for (std::uint32_t at = from; at < lists.size(); ++at) places_[lists[at]] = {cell, at};
}

/// The last cell takes its number.
void Coarse::remove_cell(std::uint32_t cell) {
  const auto last = static_cast<std::uint32_t>(cells_.size() - 1);
  if (cell != last) {
    cells_[cell] = std::move(cells_[last]);
    cell_centres_.copy(cell, cell_centres_, last);
    renumber(cell, 0);
  }
  cells_.pop_back();
  cell_centres_.resize(last);
}

void Coarse::regroup(std::uint64_t seed, int threads) {
  const std::int64_t wanted = cells_for(n_lists());
  if (wanted < 2 * n_cells() && n_cells() < 2 * wanted) return;
  Points centres(dim_);
  centres.resize(n_lists());
  for (std::size_t list = 0; list < places_.size(); ++list) {
    centres.copy(static_cast<std::int64_t>(list), cells_[places_[list].cell].centres,
                 places_[list].at);
  }
  const std::vector<std::uint32_t> all = all_of(n_lists());
  Points cell_centres = kmeans(level_, centres, all, wanted, kCellRounds, seed, threads);
  const std::vector<Nearest> cells = nearest_centres(level_, centres, all, cell_centres, threads);
  group(std::move(cell_centres), centres, cells);
}

void Coarse::save(std::int16_t* centres, float* scales, std::uint32_t* cells,
                  std::int16_t* cell_centres, float* cell_scales) const {
  for (std::uint32_t list = 0; list < places_.size(); ++list) {
    std::copy_n(centre(list).values, dim_, centres + std::int64_t{list} * dim_);
    scales[list] = centre(list).step;
    cells[list] = places_[list].cell;
  }
  std::copy_n(cell_centres_.row(0), n_cells() * dim_, cell_centres);
  std::copy_n(cell_centres_.scales.data(), n_cells(), cell_scales);
}

bool Coarse::restore(const Section<std::int16_t>& centres, const Section<float>& scales,
                     Points& points) const {
  const auto most = static_cast<int>(greatest_ivf_step(dim_));
  const auto is_step = [most](std::int16_t value) { return std::abs(int{value}) <= most; };
  if (scales.n == 0 || centres.n != scales.n * dim_ ||
      !std::all_of(centres.begin(), centres.end(), is_step) ||
      !std::all_of(scales.begin(), scales.end(), is_kept_length)) {
    return false;
  }
  points.resize(scales.n);
  std::copy(centres.begin(), centres.end(), points.values.data());
  std::copy(scales.begin(), scales.end(), points.scales.data());
  for (std::int64_t i = 0; i < scales.n; ++i) points.measure(level_, i);
  return std::all_of(points.squares.begin(), points.squares.end(),
                     [](float squares) { return squares <= kMostKeptLength * kMostKeptLength; });
}

bool Coarse::restore(const SavedLists& saved) {
  Points centres(dim_);
  Points cell_centres(dim_);
  if (!restore(saved.centres, saved.scales, centres) || saved.cells.n != centres.size() ||
      !restore(saved.cell_centres, saved.cell_scales, cell_centres)) {
    return false;
  }
  std::vector<Nearest> cells;
  for (const std::uint32_t cell : saved.cells) {
    if (cell >= cell_centres.size()) return false;
    cells.push_back({0.0f, cell});
  }
  group(std::move(cell_centres), centres, cells);
  return true;
}

}  // namespace paradox
