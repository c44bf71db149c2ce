// Lists as rows come and go: with many removed they are compacted, long ones are split, short ones
// dissolved.
#include <algorithm>
#include <functional>
#include <new>
#include <numeric>
#include <utility>

#include "paradox/ivf/ivf.hpp"
#include "paradox/ivf/kmeans.hpp"
#include "paradox/thread_pool.hpp"

namespace paradox {
namespace {

/// A list is compacted where one in so many of its rows is removed.
constexpr std::int64_t kShareRemoved = 3;

constexpr int kSplitRounds = 6;

/// Of the rows that a list would have were lists learnt now, the share below which it is dissolved;
/// and the share while there are more lists than would be learnt.
constexpr double kShort = 1.0 / 8.0, kShortOfMany = 3.0 / 4.0;

/// No list is wanted longer than this share of the length at which it is split: what is dissolved
/// is far shorter than what is split.
constexpr double kLongest = 1.0 / 4.0;

/// Rows that are taken out of short lists, and then put into others, at a time.
constexpr std::int64_t kSlab = 1 << 16;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

void leave_each_once(std::vector<std::uint32_t>& lists) {
  std::sort(lists.begin(), lists.end());
  lists.erase(std::unique(lists.begin(), lists.end()), lists.end());
}

}  // namespace

void Ivf::remove(const std::int64_t* numbers, std::int64_t n) {
  std::vector<ListedRow> rows;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!holds(numbers[i])) continue;
    rows.push_back({list_of_[index(numbers[i])], static_cast<std::uint32_t>(numbers[i])});
  }
  prepare_removal(rows);
  take_out(rows);
  compact_worn(rows);
}

void Ivf::prepare_removal(std::vector<ListedRow>& rows) {
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  for (const ListedRow& row : rows) {
    lists_[row.first].own(layout_);
    if (shrunk_.empty() || shrunk_.back() != row.first) shrunk_.push_back(row.first);
  }
}

/// Many of one list are looked for together, in one pass.
void Ivf::take_out(const std::vector<ListedRow>& rows) noexcept {
  for (const auto& [list, number] : rows) list_of_[number] = kNoRow;
  n_removed_ += static_cast<std::int64_t>(rows.size());
  for (auto begin = rows.begin(), end = begin; begin != rows.end(); begin = end) {
    InvertedList& list = lists_[begin->first];
    while (end != rows.end() && end->first == begin->first) ++end;
    if (end - begin == 1) {
      list.remove(layout_, begin->second);
    } else {
      list.remove_if(layout_, [this](std::uint32_t row) { return list_of_[row] == kNoRow; });
    }
  }
}

/// Without memory for it, lists stay as they are: nothing is wrong but what they take.
void Ivf::compact_worn(const std::vector<ListedRow>& rows) noexcept {
  try {
    for (const auto& [list, number] : rows) {
      const InvertedList& its = lists_[list];
      if (kShareRemoved * its.n_removed() > its.size()) compact(list);
    }
  } catch (const std::bad_alloc&) {
  }
}

void Ivf::compact(std::uint32_t list) {
  InvertedList& its = lists_[list];
  std::vector<std::int64_t> live;
  for (std::int64_t i = 0; i < its.size(); ++i) {
    if (its.number(layout_, i) != kNoRow) live.push_back(i);
  }
  const std::int64_t n_gone = its.n_removed();
  its.keep(layout_, live);
  n_rows_ -= n_gone;
  n_removed_ -= n_gone;
}

/// Without memory for it, lists stay long until they are added to again.
void Ivf::split_long_lists(std::vector<std::uint32_t> lists, int threads) {
  leave_each_once(lists);
  const std::int64_t before = n_lists();
  try {
    for (std::size_t i = 0; i < lists.size(); ++i) {
      const std::uint32_t list = lists[i];
      if (!lists_[list].is_longer(split_size_) || !split(list)) continue;
      lists.push_back(list);
      lists.push_back(static_cast<std::uint32_t>(n_lists() - 1));
    }
    if (n_lists() != before) coarse_.regroup(settings_.seed, threads);
  } catch (const std::bad_alloc&) {
  }
}

/// By the rows as kept; false where they are all one.
bool Ivf::split(std::uint32_t list) {
  if (lists_[list].n_removed() > 0) compact(list);
  const std::int64_t n = lists_[list].size();
  const int dim = layout_.dim;
  AlignedVector<float> rotated;
  at_least(rotated, n * dim);
  Points points(dim);
  points.resize(n);
  std::vector<std::uint32_t> numbers(index(n)), all(index(n));
  for (std::int64_t i = 0; i < n; ++i) {
    decode(lists_[list].supplement(layout_, i), coarse_.centre(list), rotated.data() + i * dim);
    points.set(level_, i, rotated.data() + i * dim);
    numbers[index(i)] = lists_[list].number(layout_, i);
    all[index(i)] = static_cast<std::uint32_t>(i);
  }
  const Points halves = kmeans(level_, points, all, 2, kSplitRounds, settings_.seed + list, 1);
  std::vector<Nearest> nearest = nearest_centres(level_, points, all, halves, 1);
  std::int64_t n_second = 0;
  for (const Nearest& near : nearest) n_second += near.centre;
  if (n_second == 0 || n_second == n) {
    lists_[list].not_to_be_split();
    return false;
  }
  const EncodedRows rows = encode(
      rotated.data(), std::move(numbers), nearest,
      [&halves](std::uint32_t half) { return halves.centre(half); }, 1);
  InvertedList parts[2];
  parts[0].reserve(layout_, n - n_second, true);
  parts[1].reserve(layout_, n_second, true);
  for (const std::int64_t i : rows.order) {
    append(rows, index(i), parts[rows.lists[index(i)]]);
  }
  if (lists_.size() == lists_.capacity()) lists_.reserve(lists_.size() * 3 / 2 + 1);
  coarse_.split(list, halves);
  const auto added = static_cast<std::uint32_t>(lists_.size());
  for (std::size_t i = 0; i < index(n); ++i) {
    if (rows.lists[i] == 1) list_of_[rows.numbers[i]] = added;
  }
  lists_[list] = std::move(parts[0]);
  lists_.push_back(std::move(parts[1]));
  return true;
}

/// Of the lists that rows were removed from, those to be dissolved.
std::vector<std::uint32_t> Ivf::short_lists(std::int64_t n_wanted) const {
  std::vector<std::uint32_t> shortest = shrunk_;
  leave_each_once(shortest);
  std::stable_sort(shortest.begin(), shortest.end(), [this](std::uint32_t a, std::uint32_t b) {
    return lists_[a].n_live() < lists_[b].n_live();
  });
  const auto n = static_cast<double>(size());
  const double length =
      std::min(n / static_cast<double>(n_wanted), kLongest * static_cast<double>(split_size_));
  std::vector<std::uint32_t> found;
  for (const std::uint32_t list : shortest) {
    const std::int64_t n_left = n_lists() - static_cast<std::int64_t>(found.size());
    const auto live = static_cast<double>(lists_[list].n_live());
    const bool are_too_many = static_cast<double>(n_left) * length > n;
    const bool is_short = live < length * (are_too_many ? kShortOfMany : kShort);
    if (n_left == 1 || (live > 0 && !is_short)) break;
    if (live == 0 || !is_beside_a_long_one(list)) found.push_back(list);
  }
  return found;
}

/// Whether the nearest list would be more than half as long as one that is split: it may be what
/// this one was split from.
bool Ivf::is_beside_a_long_one(std::uint32_t list) const {
  Points centre(layout_.dim);
  centre.resize(1);
  coarse_.copy_centre(list, centre, 0);
  std::vector<Nearest> nearest;
  coarse_.probe(centre, 0, 2, nearest);
  for (const Nearest& other : nearest) {
    if (other.centre == list) continue;
    return 2 * (lists_[other.centre].n_live() + lists_[list].n_live()) > split_size_;
  }
  return false;
}

/// Without memory for it, lists stay short until they are looked at again.
void Ivf::merge(std::int64_t n_wanted, int threads) {
  try {
    const std::vector<std::uint32_t> lists = short_lists(n_wanted);
    if (!lists.empty()) dissolve(lists, threads);
    shrunk_.clear();
    if (!lists.empty()) coarse_.regroup(settings_.seed, threads);
  } catch (const std::bad_alloc&) {
  }
}

/// The last list takes the number of one dissolved.
void Ivf::dissolve(const std::vector<std::uint32_t>& lists, int threads) {
  std::vector<std::uint32_t> last_first = lists, was(index(n_lists()));
  std::sort(last_first.begin(), last_first.end(), std::greater<>());
  std::iota(was.begin(), was.end(), 0u);
  Coarse coarse = coarse_;
  for (const std::uint32_t list : last_first) {
    coarse.remove(list);
    was[list] = was.back();
    was.pop_back();
  }
  std::vector<EncodedRows> slabs;
  AlignedVector<float> rotated;
  std::vector<std::uint32_t> numbers;
  const CentreOf centre_of = [&coarse](std::uint32_t list) { return coarse.centre(list); };
  const auto encode_those = [&] {
    if (numbers.empty()) return;
    const auto n = static_cast<std::int64_t>(numbers.size());
    Points points(layout_.dim);
    points.resize(n);
    for (std::int64_t i = 0; i < n; ++i) {
      points.set(level_, i, rotated.data() + i * layout_.dim);
    }
    const std::vector<Nearest> nearest = coarse.assign(points, threads);
    slabs.push_back(encode(rotated.data(), std::move(numbers), nearest, centre_of, threads));
    numbers.clear();
  };
  std::int64_t n_left = 0, n_removed = 0;
  for (const std::uint32_t list : last_first) n_left += lists_[list].n_live();
  at_least(rotated, std::min(n_left, kSlab) * layout_.dim);
  for (const std::uint32_t list : last_first) {
    const InvertedList& its = lists_[list];
    n_removed += its.n_removed();
    for (std::int64_t at = 0; at < its.size(); ++at) {
      const std::uint32_t number = its.number(layout_, at);
      if (number == kNoRow) continue;
      decode(its.supplement(layout_, at), coarse_.centre(list),
             rotated.data() + static_cast<std::int64_t>(numbers.size()) * layout_.dim);
      numbers.push_back(number);
      if (numbers.size() == index(kSlab)) encode_those();
    }
  }
  encode_those();
  std::vector<std::int64_t> n_more(was.size());
  for (const EncodedRows& rows : slabs) {
    for (const std::uint32_t list : rows.lists) ++n_more[list];
  }
  for (std::size_t list = 0; list < was.size(); ++list) {
    if (n_more[list] > 0) lists_[was[list]].reserve(layout_, n_more[list], true);
  }
  std::vector<InvertedList> others(was.size());  // nothing throws from here on
  for (std::size_t list = 0; list < was.size(); ++list) {
    others[list] = std::move(lists_[was[list]]);
    if (was[list] == list) continue;
    for (std::int64_t i = 0; i < others[list].size(); ++i) {
      const std::uint32_t number = others[list].number(layout_, i);
      if (number != kNoRow) list_of_[number] = static_cast<std::uint32_t>(list);
    }
  }
  lists_.swap(others);
  coarse_.swap(coarse);
  n_rows_ -= n_removed;
  n_removed_ -= n_removed;
  for (const EncodedRows& rows : slabs) {
    for (const std::int64_t i : rows.order) {
      const std::uint32_t list = rows.lists[index(i)];
      list_of_[rows.numbers[index(i)]] = list;
      append(rows, index(i), lists_[list]);
    }
  }
}

}  // namespace paradox
