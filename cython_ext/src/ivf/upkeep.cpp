// Lists as rows come and go: with many removed they are compacted, long ones are split, short ones
// dissolved.
#include <algorithm>
#include <functional>

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
  std::vector<std::uint32_t> touched;
  for (std::int64_t i = 0; i < n; ++i) {
    if (index(numbers[i]) >= list_of_.size()) continue;
    std::uint32_t& list = list_of_[index(numbers[i])];
    if (list == kNoRow) continue;
    lists_[list].remove(layout_, static_cast<std::uint32_t>(numbers[i]));
    ++n_removed_;
    touched.push_back(list);
    list = kNoRow;
  }
  shrunk_.insert(shrunk_.end(), touched.begin(), touched.end());
  for (const std::uint32_t list : touched) {
    const InvertedList& its = lists_[list];
    if (kShareRemoved * its.n_removed() > its.size()) compact(list);
  }
}

void Ivf::compact(std::uint32_t list) {
  InvertedList& its = lists_[list];
  std::vector<std::int64_t> live;
  for (std::int64_t i = 0; i < its.size(); ++i) {
    if (its.number(layout_, i) != kNoRow) live.push_back(i);
  }
  n_rows_ -= its.n_removed();
  n_removed_ -= its.n_removed();
  its.keep(layout_, live);
}

void Ivf::split_long_lists(const std::vector<std::uint32_t>& lists, int threads) {
  std::vector<std::uint32_t> to_split = lists;
  leave_each_once(to_split);
  const std::int64_t before = n_lists();
  for (std::size_t i = 0; i < to_split.size(); ++i) {
    const std::uint32_t list = to_split[i];
    if (lists_[list].size() <= split_size_ || !split(list)) continue;
    to_split.push_back(list);
    to_split.push_back(static_cast<std::uint32_t>(n_lists() - 1));
  }
  if (n_lists() != before) coarse_.regroup(settings_.seed, threads);
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
    decode(lists_[list].supplement(layout_, i), coarse_.centre(list), coarse_.scale(list),
           rotated.data() + i * dim);
    points.set(level_, i, rotated.data() + i * dim);
    numbers[index(i)] = lists_[list].number(layout_, i);
    all[index(i)] = static_cast<std::uint32_t>(i);
  }
  const Points halves = kmeans(level_, points, all, 2, kSplitRounds, settings_.seed + list, 1);
  std::vector<Nearest> nearest = nearest_centres(level_, points, all, halves, 1);
  std::int64_t n_second = 0;
  for (const Nearest& near : nearest) n_second += near.centre;
  if (n_second == 0 || n_second == n) return false;
  std::vector<float> centre(index(dim));
  const auto values = [&](std::int64_t half) {
    for (int j = 0; j < dim; ++j) {
      centre[index(j)] = halves.scales[index(half)] * static_cast<float>(halves.row(half)[j]);
    }
    return centre.data();
  };
  coarse_.move(list, values(0));
  const std::uint32_t added = coarse_.add_beside(list, values(1));
  lists_.emplace_back();
  lists_[list] = {};
  n_rows_ -= n;
  for (std::int64_t i = 0; i < n; ++i) {
    Nearest& near = nearest[index(i)];
    near.centre = near.centre == 0 ? list : added;
    list_of_[numbers[index(i)]] = near.centre;
  }
  append(rotated.data(), numbers.data(), nearest, 1, nullptr);
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

void Ivf::merge(std::int64_t n_wanted, int threads) {
  std::vector<std::uint32_t> to_dissolve = short_lists(n_wanted);
  shrunk_.clear();
  if (to_dissolve.empty()) return;
  std::sort(to_dissolve.begin(), to_dissolve.end(), std::greater<>());
  std::vector<InvertedList> dissolved;
  Points centres(layout_.dim);
  centres.resize(static_cast<std::int64_t>(to_dissolve.size()));
  std::int64_t n = 0;
  for (const std::uint32_t list : to_dissolve) {  // the last first: what takes its place stays
    coarse_.copy_centre(list, centres, static_cast<std::int64_t>(dissolved.size()));
    n += lists_[list].n_live();
    dissolved.push_back(take_out(list));
  }
  AlignedVector<float> rotated;
  at_least(rotated, std::min(n, kSlab) * layout_.dim);
  std::vector<std::uint32_t> numbers;
  for (std::size_t i = 0; i < dissolved.size(); ++i) {
    const auto which = static_cast<std::int64_t>(i);
    for (std::int64_t at = 0; at < dissolved[i].size(); ++at) {
      const std::uint32_t number = dissolved[i].number(layout_, at);
      if (number == kNoRow) continue;
      decode(dissolved[i].supplement(layout_, at), centres.row(which), centres.scales[i],
             rotated.data() + static_cast<std::int64_t>(numbers.size()) * layout_.dim);
      numbers.push_back(number);
      if (numbers.size() < index(kSlab)) continue;
      put_back(rotated.data(), numbers, threads);
      numbers.clear();
    }
  }
  put_back(rotated.data(), numbers, threads);
  coarse_.regroup(settings_.seed, threads);
}

/// Of a list's rows nothing is known afterwards; the last list has its number.
InvertedList Ivf::take_out(std::uint32_t list) {
  InvertedList taken = std::move(lists_[list]);
  n_rows_ -= taken.size();
  n_removed_ -= taken.n_removed();
  coarse_.remove(list);
  if (list + 1 < lists_.size()) {
    lists_[list] = std::move(lists_.back());
    for (std::int64_t i = 0; i < lists_[list].size(); ++i) {
      const std::uint32_t number = lists_[list].number(layout_, i);
      if (number != kNoRow) list_of_[number] = list;
    }
  }
  lists_.pop_back();
  return taken;
}

/// Puts rotated vectors, as many as numbers, into the lists nearest to them now.
void Ivf::put_back(const float* rotated, const std::vector<std::uint32_t>& numbers, int threads) {
  if (numbers.empty()) return;
  const auto n = static_cast<std::int64_t>(numbers.size());
  Points points(layout_.dim);
  points.resize(n);
  for (std::int64_t i = 0; i < n; ++i) points.set(level_, i, rotated + i * layout_.dim);
  const std::vector<Nearest> nearest = coarse_.assign(points, threads);
  for (std::size_t i = 0; i < numbers.size(); ++i) list_of_[numbers[i]] = nearest[i].centre;
  append(rotated, numbers.data(), nearest, threads, nullptr);
}

}  // namespace paradox
