#include "paradox/ivf/ivf.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "paradox/half.hpp"
#include "paradox/lengths.hpp"
#include "paradox/thread_pool.hpp"

namespace paradox {
namespace {

/// Rows that are rotated, and then put into their lists, at a time.
constexpr std::int64_t kSlab = 1 << 16;

/// A list is split where it is so many times as long as those first learnt, and this long.
constexpr std::int64_t kSplitFactor = 4, kLeastSplit = 512;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

Ivf::Ivf(const IvfSettings& settings, const IvfLevel& level)
    : settings_(settings),
      level_(level),
      layout_(rotated_dim(lengthened_dim(settings.dim, settings.metric))),
      rotation_(lengthened_dim(settings.dim, settings.metric), layout_.dim, settings.seed),
      coarse_(layout_.dim, level_) {}

IvfScratch& IvfScratch::of_this_thread() {
  thread_local IvfScratch scratch;
  return scratch;
}

std::int64_t Ivf::bytes() const {
  std::int64_t total = coarse_.bytes() + static_cast<std::int64_t>(4 * list_of_.capacity());
  for (const InvertedList& list : lists_) {
    total += list.bytes() + static_cast<std::int64_t>(sizeof list);
  }
  return total;
}

double Ivf::unit_scale(const float* vector) const {
  if (settings_.metric != Metric::cosine) return 1.0;
  const double length = std::sqrt(level_.shared.dot_product(vector, vector, settings_.dim));
  return length > 0.0 ? 1.0 / length : 0.0;
}

/// Under inner product vectors are lengthened to one length, in a dimension of their own: the
/// nearest are then those of the greatest product (Bachrach et al., RecSys 2014). The length of
/// queries, whatever it is, is the same for all vectors; were it far below that of those that came
/// since the lists were learnt, float32 would not tell their distances apart.
void Ivf::rotate(const float* vector, bool is_query, IvfScratch& scratch) const {
  const int dim = settings_.dim;
  float* input = at_least(scratch.input, dim + 1);
  if (settings_.metric != Metric::ip) {
    const double unit = unit_scale(vector);
    for (int j = 0; j < dim; ++j) {
      input[j] = static_cast<float>(unit * vector[j] - double{origin_[index(j)]});
    }
  } else if (is_query) {
    const double length = std::sqrt(level_.shared.dot_product(vector, vector, dim));
    scratch.scale = length > 0.0 && farthest_ > 0.0f ? farthest_ / length : 1.0;
    for (int j = 0; j < dim; ++j) input[j] = static_cast<float>(vector[j] * scratch.scale);
    input[dim] = 0.0f;
  } else {
    for (int j = 0; j < dim; ++j) input[j] = vector[j] - origin_[index(j)];
    const double squares = level_.shared.dot_product(input, input, dim);
    input[dim] =
        static_cast<float>(std::sqrt(std::max(double{longest_} * longest_ - squares, 0.0)));
  }
  rotation_.apply(level_.shared, input, at_least(scratch.rotated, layout_.dim));
}

void Ivf::train(const float* sample, std::int64_t n_sample, std::int64_t n, std::int64_t n_lists,
                int threads) {
  const int dim = settings_.dim;
  std::vector<double> sums(index(dim));
  for (std::int64_t i = 0; i < n_sample; ++i) {
    const double scale = unit_scale(sample + i * dim);
    for (int j = 0; j < dim; ++j) sums[index(j)] += scale * sample[i * dim + j];
  }
  origin_.resize(sums.size());
  for (std::size_t j = 0; j < sums.size(); ++j) {
    origin_[j] = static_cast<float>(sums[j] / static_cast<double>(n_sample));
  }
  longest_ = 0.0f;
  if (settings_.metric == Metric::ip) {
    for (std::int64_t i = 0; i < n_sample; ++i) {
      const double squares = level_.shared.squared_distance(sample + i * dim, origin_.data(), dim);
      longest_ = std::max(longest_, static_cast<float>(std::sqrt(squares)));
    }
  }
  Points points(layout_.dim);
  points.resize(n_sample);
  ThreadPool::instance().run((n_sample + 255) / 256, threads, [&](std::int64_t task) {
    IvfScratch& scratch = IvfScratch::of_this_thread();
    for (std::int64_t i = task * 256; i < std::min(n_sample, (task + 1) * 256); ++i) {
      rotate(sample + i * dim, false, scratch);
      points.set(level_, i, scratch.rotated.data());
    }
  });
  Coarse coarse(layout_.dim, level_);
  coarse.train(points, n_lists, settings_.seed, threads);
  split_size_ =
      std::max(kLeastSplit, kSplitFactor * n / std::max<std::int64_t>(coarse.n_lists(), 1));
  farthest_ = longest_;
  lists_.assign(index(coarse.n_lists()), {});
  coarse_.swap(coarse);
}

EncodedRows::Factors Ivf::encode(const float* rotated, const Centre& its, IvfScratch& scratch,
                                 std::uint8_t* signs, std::uint8_t* supplement) const {
  const int dim = layout_.dim;
  const auto [centre, step] = its;
  float* residual = at_least(scratch.residual, dim);
  const ResidualSums sums = level_.own.residual(rotated, centre, step, dim, residual, signs);
  // Inner product: what a vector longer than the longest lacks is taken off its distances.
  float excess = 0.0f;
  if (settings_.metric == Metric::ip) {
    const double squares = level_.shared.dot_product(rotated, rotated, dim);
    const double most = double{longest_} * longest_;
    if (squares > most * (1 + 1e-5)) excess = static_cast<float>(squares - most);
  }
  const float slope = sums.absolute > 0.0f ? 2.0f * sums.squares / sums.absolute : 0.0f;
  const float offset = sums.squares + slope * sums.centre_by_sign - excess;

  const bool is_zero = !(sums.greatest > kLeastValue);
  const float scale = is_zero ? 0.0f : sums.greatest / 127.0f;
  auto* codes = reinterpret_cast<std::int8_t*>(supplement + 8);
  level_.own.to_int8(residual, dim, is_zero ? 0.0f : 127.0f / sums.greatest, codes);
  const auto squares = static_cast<float>(level_.shared.dot_i8i8(codes, codes, dim));
  const auto dot = static_cast<float>(level_.shared.dot_i16i8(centre, codes, dim));
  const float term = scale * (scale * squares + 2.0f * step * dot) - excess;
  std::memcpy(supplement, &scale, sizeof scale);
  std::memcpy(supplement + 4, &term, sizeof term);
  return {offset, slope, excess};
}

void Ivf::decode(const Supplement& kept, const Centre& its, float* rotated) const {
  const float scale = kept.scale();
  for (int j = 0; j < layout_.dim; ++j) {
    rotated[j] = its.step * static_cast<float>(its.values[j]) +
                 scale * static_cast<float>(kept.residual()[j]);
  }
}

void Ivf::add(const float* vectors, const std::int64_t* numbers, std::int64_t n, int threads,
              std::uint32_t* lists, std::uint8_t* supplements) {
  std::vector<std::uint32_t> touched;
  Points points(layout_.dim);
  AlignedVector<float> rotated;
  const CentreOf centre_of = [this](std::uint32_t list) { return coarse_.centre(list); };
  for (std::int64_t begin = 0; begin < n; begin += kSlab) {
    const std::int64_t m = std::min(kSlab, n - begin);
    points.resize(m);
    at_least(rotated, m * layout_.dim);
    ThreadPool::instance().run((m + 255) / 256, threads, [&](std::int64_t task) {
      IvfScratch& scratch = IvfScratch::of_this_thread();
      for (std::int64_t i = task * 256; i < std::min(m, (task + 1) * 256); ++i) {
        rotate(vectors + (begin + i) * settings_.dim, false, scratch);
        std::copy_n(scratch.rotated.data(), layout_.dim, rotated.data() + i * layout_.dim);
        points.set(level_, i, scratch.rotated.data());
      }
    });
    const std::int64_t* slab = numbers + begin;
    const auto [least, most] = std::minmax_element(slab, slab + m);
    if (*least < 0 || *most >= kMaxRows) throw std::overflow_error("rows have 32-bit numbers");
    const std::vector<Nearest> nearest = coarse_.assign(points, threads);
    if (lists == nullptr) {
      for (const Nearest& near : nearest) touched.push_back(near.centre);
    }
    put(encode(rotated.data(), {slab, slab + m}, nearest, centre_of, threads,
               supplements == nullptr ? nullptr : supplements + begin * layout_.row_bytes()));
    if (lists == nullptr) continue;
    for (std::int64_t i = 0; i < m; ++i) lists[begin + i] = nearest[index(i)].centre;
  }
  if (lists == nullptr) split_long_lists(std::move(touched), threads);
}

EncodedRows Ivf::encode(const float* rotated, std::vector<std::uint32_t> numbers,
                        const std::vector<Nearest>& nearest, const CentreOf& centre_of, int threads,
                        std::uint8_t* supplements) const {
  const auto n = static_cast<std::int64_t>(nearest.size());
  const std::int64_t bytes = layout_.row_bytes(), sign_bytes = layout_.dim / 8;
  EncodedRows rows;
  rows.numbers = std::move(numbers);
  rows.order.resize(nearest.size());
  for (std::int64_t i = 0; i < n; ++i) rows.order[index(i)] = i;
  std::stable_sort(rows.order.begin(), rows.order.end(), [&](std::int64_t a, std::int64_t b) {
    return nearest[index(a)].centre < nearest[index(b)].centre;
  });
  for (const Nearest& near : nearest) rows.lists.push_back(near.centre);
  rows.factors.resize(nearest.size());
  rows.signs.resize(index(n * sign_bytes));
  if (supplements == nullptr) {
    rows.supplements.resize(index(n * bytes));
    supplements = rows.supplements.data();
  }
  ThreadPool::instance().run((n + 255) / 256, threads, [&](std::int64_t task) {
    IvfScratch& scratch = IvfScratch::of_this_thread();
    for (std::int64_t at = task * 256; at < std::min(n, (task + 1) * 256); ++at) {
      const std::int64_t i = rows.order[index(at)];
      rows.factors[index(i)] =
          encode(rotated + i * layout_.dim, centre_of(rows.lists[index(i)]), scratch,
                 rows.signs.data() + i * sign_bytes, supplements + i * bytes);
    }
  });
  return rows;
}

void Ivf::append(const EncodedRows& rows, std::size_t i, InvertedList& list) const noexcept {
  const EncodedRows::Factors factors = rows.factors[i];
  const ListRow row{factors.offset, factors.slope, rows.numbers[i],
                    rows.signs.data() + i * index(layout_.dim / 8)};
  const bool is_kept_here = !rows.supplements.empty();
  list.append(layout_, row,
              is_kept_here ? rows.supplements.data() + i * index(layout_.row_bytes()) : nullptr);
}

/// Room is made first: all is put, or nothing.
void Ivf::put(const EncodedRows& rows) {
  const std::vector<std::int64_t>& order = rows.order;
  for (std::size_t begin = 0, end; begin < order.size(); begin = end) {
    const std::uint32_t list = rows.lists[index(order[begin])];
    for (end = begin; end < order.size() && rows.lists[index(order[end])] == list;) ++end;
    lists_[list].reserve(layout_, static_cast<std::int64_t>(end - begin),
                         !rows.supplements.empty());
  }
  const std::uint32_t most = *std::max_element(rows.numbers.begin(), rows.numbers.end());
  if (most >= list_of_.size()) list_of_.resize(std::size_t{most} + 1, kNoRow);
  std::vector<ListedRow> left;
  for (const std::uint32_t number : rows.numbers) {
    if (holds(number)) left.push_back({list_of_[number], number});
  }
  prepare_removal(left);
  take_out(left);
  for (const std::int64_t i : order) {
    const std::uint32_t list = rows.lists[index(i)];
    list_of_[rows.numbers[index(i)]] = list;
    append(rows, index(i), lists_[list]);
    const double squares = double{longest_} * longest_ + rows.factors[index(i)].excess;
    farthest_ = std::max(farthest_, static_cast<float>(std::sqrt(squares)));
  }
  n_rows_ += static_cast<std::int64_t>(order.size());
  compact_worn(left);
}

std::int64_t Ivf::n_blocks() const {
  std::int64_t n = 0;
  for (const InvertedList& list : lists_) n += ListLayout::n_blocks(list.size());
  return n;
}

void Ivf::save(std::int64_t* sizes, float* units, std::uint8_t* blocks,
               std::uint8_t* supplements) const {
  for (std::size_t i = 0; i < lists_.size(); ++i) {
    const InvertedList& list = lists_[i];
    sizes[i] = list.size();
    units[i] = list.unit();
    blocks = std::copy_n(list.blocks(), ListLayout::n_blocks(list.size()) * layout_.block_bytes(),
                         blocks);
    if (supplements == nullptr) continue;
    for (std::int64_t at = 0; at < list.size(); ++at) {
      supplements =
          std::copy_n(list.supplement(layout_, at).data, layout_.row_bytes(), supplements);
    }
  }
}

bool Ivf::restore(std::uint32_t list, std::int64_t n, float unit, const std::int64_t* ids,
                  std::int64_t n_rows, Section<std::uint8_t>& blocks,
                  Section<std::uint8_t>& supplements) {
  if (n < 0 || n > supplements.n / layout_.row_bytes()) return false;
  const std::int64_t n_bytes = ListLayout::n_blocks(n) * layout_.block_bytes();
  if (n_bytes > blocks.n) return false;
  InvertedList& its = lists_[list];
  its.lend(blocks.values, supplements.values, n, 0, unit);
  std::int64_t n_removed = 0;
  for (std::int64_t at = 0; at < ListLayout::n_blocks(n) * kEdgeBlock; ++at) {
    const std::uint32_t number = its.number(layout_, at);
    if (number == kNoRow) {
      n_removed += at < n ? 1 : 0;
      continue;
    }
    if (at >= n || number >= n_rows || ids[number] == -1) return false;
    if (number >= list_of_.size()) list_of_.resize(std::size_t{number} + 1, kNoRow);
    if (list_of_[number] != kNoRow) return false;  // it is in a list already
    list_of_[number] = list;
    const Supplement kept = its.supplement(layout_, at);
    if (!is_kept_length(kept.scale()) ||
        !(std::fabs(kept.term()) <= kMostKeptLength * kMostKeptLength)) {
      return false;
    }
  }
  its.lend(blocks.values, supplements.values, n, n_removed, unit);
  n_rows_ += n;
  n_removed_ += n_removed;
  blocks = {blocks.values + n_bytes, blocks.n - n_bytes};
  supplements = {supplements.values + n * layout_.row_bytes(),
                 supplements.n - n * layout_.row_bytes()};
  return true;
}

bool Ivf::restore(const SavedLists& saved, const std::int64_t* ids, std::int64_t n_rows) {
  const auto is_unit = [](float value) { return value > 0.0f && std::isfinite(value); };
  const auto is_length = [](float value) { return is_kept_length(std::fabs(value)); };
  if (!coarse_.restore(saved) || saved.sizes.n != coarse_.n_lists() ||
      saved.origin.n != settings_.dim ||
      !std::all_of(saved.origin.begin(), saved.origin.end(), is_length) ||
      saved.units.n != coarse_.n_lists() ||
      !std::all_of(saved.units.begin(), saved.units.end(), is_unit) ||
      !is_kept_length(saved.longest) || !is_kept_length(saved.farthest) ||
      saved.split_size < kLeastSplit) {
    return false;
  }
  lists_.assign(index(coarse_.n_lists()), {});
  list_of_.clear();
  shrunk_.clear();
  n_rows_ = n_removed_ = 0;
  Section<std::uint8_t> blocks = saved.blocks, supplements = saved.supplements;
  for (std::size_t list = 0; list < lists_.size(); ++list) {
    const std::int64_t n = saved.sizes.values[list];
    const float unit = saved.units.values[list];
    if (!restore(static_cast<std::uint32_t>(list), n, unit, ids, n_rows, blocks, supplements)) {
      return false;
    }
  }
  list_of_.shrink_to_fit();
  origin_.assign(saved.origin.begin(), saved.origin.end());
  longest_ = saved.longest;
  farthest_ = saved.farthest;
  split_size_ = saved.split_size;
  return blocks.n == 0 && supplements.n == 0;
}

}  // namespace paradox
