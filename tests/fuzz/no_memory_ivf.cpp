// Fails every allocation of a change to inverted lists in turn, by lists of which nothing else has
// the rows: what could be found before is found after, and the lists go on.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

#include "paradox/ivf/ivf.hpp"
#include "runs.hpp"
#include "use.hpp"

namespace {

std::int64_t n_until_failure = -1;  // fewer than 0: none fails

void* allocated(std::size_t n, std::size_t alignment) {
  if (n_until_failure == 0) throw std::bad_alloc();
  if (n_until_failure > 0) --n_until_failure;
  void* memory = std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t n) { return allocated(n, alignof(std::max_align_t)); }
void* operator new(std::size_t n, std::align_val_t alignment) {
  return allocated(n, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace paradox {
extern const GraphKernels graph_kernels_scalar;
extern const IvfKernels ivf_kernels_scalar;
}  // namespace paradox

namespace {

using fuzz::expect;
using paradox::Ivf;
using paradox::Metric;

constexpr int kDim = 4;
constexpr std::int64_t kRows = 900, kKept = 700;
const paradox::IvfLevel kLevel{paradox::graph_kernels_scalar, paradox::ivf_kernels_scalar};

struct Rows {
  std::vector<float> vectors;
  std::vector<std::int64_t> numbers, ids;

  Rows() {
    fuzz::Random random(3);
    vectors = fuzz::vectors(kRows, kDim, random);
    for (std::int64_t i = 0; i < kRows; ++i) {
      numbers.push_back(i);
      ids.push_back(i + fuzz::kFirstId);
    }
  }
};

/// Which rows all lists together have, each once.
std::vector<bool> found(const Ivf& ivf, const Rows& rows) {
  std::vector<std::int64_t> ids(kRows + 9);
  std::vector<float> distances(ids.size());
  ivf.search(rows.vectors.data(), 1, kRows + 9, 1 << 20, {nullptr, rows.ids.data()}, 1, ids.data(),
             distances.data());
  std::vector<bool> is_found(kRows);
  std::int64_t n = 0;
  for (const std::int64_t id : ids) {
    if (id == -1) continue;
    const auto at = static_cast<std::size_t>(id - fuzz::kFirstId);
    expect(at < is_found.size() && !is_found[at], "every row to be found once");
    is_found[at] = true;
    ++n;
  }
  expect(n == ivf.size(), "as many rows to be found as there are");
  for (std::size_t i = 0; i < is_found.size(); ++i) {
    expect(is_found[i] == ivf.holds(static_cast<std::int64_t>(i)), "rows to be found to be held");
  }
  return is_found;
}

Ivf made(const Rows& rows) {
  Ivf ivf({kDim, Metric::l2, 1}, kLevel);
  ivf.train(rows.vectors.data(), 60, 60, 12, 1);
  ivf.add(rows.vectors.data(), rows.numbers.data(), kKept, 1);
  return ivf;
}

/// Calls change(ivf) with one allocation after the other failing, until none does; what is kept for
/// certain, kept(row) tells.
template <class Change, class Kept>
void fail_each(const char* name, const Rows& rows, const Change& change, const Kept& kept) {
  std::int64_t n_thrown = 0, n = 0;
  for (bool is_whole = false; !is_whole; ++n) {
    Ivf ivf = made(rows);
    n_until_failure = n;
    try {
      change(ivf);
      is_whole = n_until_failure > 0;
    } catch (const std::bad_alloc&) {
      ++n_thrown;
    }
    n_until_failure = -1;
    const std::vector<bool> is_found = found(ivf, rows);
    for (std::size_t i = 0; i < is_found.size(); ++i) {
      expect(!kept(static_cast<std::int64_t>(i)) || is_found[i], "no row to be lost");
    }
    ivf.add(rows.vectors.data(), rows.numbers.data(), kRows, 1);
    ivf.remove(rows.numbers.data(), kRows / 2);
    ivf.merge(3, 1);
    expect(ivf.size() == kRows - kRows / 2, "the lists to go on");
    found(ivf, rows);
  }
  std::printf("%s: %lld allocations, %lld thrown\n", name, static_cast<long long>(n),
              static_cast<long long>(n_thrown));
}

}  // namespace

int main() {
  const Rows rows;
  fail_each(
      "add", rows,
      [&](Ivf& ivf) { ivf.add(rows.vectors.data() + kDim, rows.numbers.data(), kRows - 1, 1); },
      [](std::int64_t row) { return row < kKept; });
  fail_each(
      "remove", rows, [&](Ivf& ivf) { ivf.remove(rows.numbers.data() + 50, kKept - 50); },
      [](std::int64_t row) { return row < 50; });
  fail_each(
      "merge", rows,
      [&](Ivf& ivf) {
        ivf.remove(rows.numbers.data() + 50, kKept - 50);
        ivf.merge(2, 1);
      },
      [](std::int64_t row) { return row < 50; });
  return 0;
}
