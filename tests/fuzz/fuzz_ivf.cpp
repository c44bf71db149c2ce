// Damages what inverted lists are saved as, and uses what `restore` accepts: searches, insertions,
// removals. Nothing may read what is not its own, and what such lists are saved as must be accepted
// again.
#include <cstdint>
#include <vector>

#include "answers_of.hpp"
#include "damage.hpp"
#include "paradox/ivf/ivf.hpp"
#include "runs.hpp"
#include "use.hpp"

namespace paradox {
extern const GraphKernels graph_kernels_scalar;
extern const IvfKernels ivf_kernels_scalar;
#ifdef PARADOX_AVX2
extern const GraphKernels graph_kernels_avx2;
extern const IvfKernels ivf_kernels_avx2;
#endif
}  // namespace paradox

namespace {

using fuzz::expect;
using fuzz::Random;
using fuzz::Section;
using fuzz::vectors;
using paradox::DType;
using paradox::Half;
using paradox::Ivf;
using paradox::IvfLevel;
using paradox::IvfRows;
using paradox::IvfSettings;
using paradox::Metric;
using paradox::SavedLists;

constexpr std::int64_t kNoId = -1;

IvfLevel level_of(std::uint64_t seed) {
#ifdef PARADOX_AVX2
  if (seed % 4 != 0 && __builtin_cpu_supports("avx2")) {
    return {paradox::graph_kernels_avx2, paradox::ivf_kernels_avx2};
  }
#endif
  (void)seed;
  return {paradox::graph_kernels_scalar, paradox::ivf_kernels_scalar};
}

/// What lists are saved as, and the ids of their rows.
struct Saved {
  IvfSettings settings;
  std::vector<std::int64_t> ids;
  std::vector<Section> sections;
};

enum : std::size_t {
  kCentres,
  kScales,
  kCells,
  kCellCentres,
  kCellScales,
  kSizes,
  kUnits,
  kBlocks,
  kSupplements,
  kOrigin,
  kLengths,
  kSplitSize
};

Saved saved(const IvfSettings& settings, const std::vector<std::int64_t>& ids, const Ivf& ivf) {
  const auto row_bytes = static_cast<std::size_t>(ivf.row_bytes());
  const auto block_bytes = static_cast<std::size_t>(ivf.block_bytes());
  const std::size_t width = row_bytes - 8;
  const auto n_lists = static_cast<std::size_t>(ivf.n_lists());
  const auto n_cells = static_cast<std::size_t>(ivf.coarse().n_cells());
  std::vector<std::int16_t> centres(n_lists * width), cell_centres(n_cells * width);
  std::vector<float> scales(n_lists), units(n_lists), cell_scales(n_cells);
  std::vector<std::uint32_t> cells(n_lists);
  ivf.coarse().save(centres.data(), scales.data(), cells.data(), cell_centres.data(),
                    cell_scales.data());
  std::vector<std::int64_t> sizes(n_lists);
  std::vector<std::uint8_t> blocks(static_cast<std::size_t>(ivf.n_blocks()) * block_bytes);
  std::vector<std::uint8_t> supplements(static_cast<std::size_t>(ivf.n_places()) * row_bytes);
  ivf.save(sizes.data(), units.data(), blocks.data(), supplements.data());
  const float lengths[] = {ivf.longest(), ivf.farthest()};
  const std::int64_t split_size = ivf.split_size();
  Saved saved{settings, ids, {}};
  saved.sections = {
      fuzz::section_of("centres", centres.data(), centres.size(), width),
      fuzz::section_of("scales", scales.data(), n_lists),
      fuzz::section_of("cells", cells.data(), n_lists),
      fuzz::section_of("cell_centres", cell_centres.data(), cell_centres.size(), width),
      fuzz::section_of("cell_scales", cell_scales.data(), n_cells),
      fuzz::section_of("sizes", sizes.data(), n_lists),
      fuzz::section_of("units", units.data(), n_lists),
      fuzz::section_of("blocks", blocks.data(), blocks.size(), block_bytes),
      fuzz::section_of("supplements", supplements.data(), supplements.size(), row_bytes),
      fuzz::section_of("origin", ivf.origin().data(), ivf.origin().size()),
      fuzz::section_of("lengths", lengths, 2, 2),
      fuzz::section_of("split_size", &split_size, 1),
  };
  saved.sections[kBlocks].hot_begin = block_bytes - 4 * paradox::kEdgeBlock;
  saved.sections[kBlocks].hot_end = block_bytes;
  saved.sections[kSupplements].hot_end = 8;
  return saved;
}

/// As `ivf.pyx` does it. The sections must outlive the lists.
bool restore(const Saved& saved, Ivf& ivf) {
  const std::vector<Section>& sections = saved.sections;
  if (sections[kLengths].n_records() != 1 || sections[kSplitSize].n_records() != 1) return false;
  const auto values = [&](std::size_t which, auto& out) {
    using Value = std::remove_const_t<std::remove_pointer_t<decltype(out.values)>>;
    out.values = sections[which].as<Value>();
    out.n = static_cast<std::int64_t>(sections[which].bytes.size() / sizeof(Value));
  };
  SavedLists lists;
  values(kCentres, lists.centres);
  values(kScales, lists.scales);
  values(kCells, lists.cells);
  values(kCellCentres, lists.cell_centres);
  values(kCellScales, lists.cell_scales);
  values(kSizes, lists.sizes);
  values(kUnits, lists.units);
  values(kBlocks, lists.blocks);
  values(kSupplements, lists.supplements);
  values(kOrigin, lists.origin);
  lists.longest = sections[kLengths].as<float>()[0];
  lists.farthest = sections[kLengths].as<float>()[1];
  lists.split_size = *sections[kSplitSize].as<std::int64_t>();
  return ivf.restore(lists, saved.ids.data(), static_cast<std::int64_t>(saved.ids.size()));
}

std::vector<std::int64_t> ids_of(std::int64_t n) {
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < n; ++i) ids.push_back(i + fuzz::kFirstId);
  return ids;
}

std::vector<Saved> made() {
  std::vector<Saved> all;
  Random random(1);
  for (const Metric metric : {Metric::l2, Metric::ip, Metric::cosine}) {
    for (const int n : {1, 60, 260}) {
      IvfSettings settings;
      settings.dim = n == 60 ? 3 : 20;
      settings.metric = metric;
      Ivf ivf(settings, level_of(0));
      const std::vector<float> rows = vectors(n, settings.dim, random);
      std::vector<std::int64_t> ids = ids_of(n), numbers, gone;
      for (std::int64_t i = 0; i < n; ++i) numbers.push_back(i);
      ivf.train(rows.data(), n, n, n == 1 ? 1 : n == 60 ? 3 : 12, 1);
      ivf.add(rows.data(), numbers.data(), n, 1);
      all.push_back(saved(settings, ids, ivf));
      for (std::int64_t i = 0; i < n; i += 5) gone.push_back(i);
      ivf.remove(gone.data(), static_cast<std::int64_t>(gone.size()));
      for (const std::int64_t i : gone) ids[static_cast<std::size_t>(i)] = kNoId;
      all.push_back(saved(settings, ids, ivf));
    }
  }
  return all;
}

/// Lists that were accepted, in use beside the rows they are of.
class Use {
 public:
  Use(const IvfSettings& settings, const std::vector<std::int64_t>& ids, Ivf& ivf, Random& random)
      : settings_(settings), ivf_(ivf), random_(random), ids_(ids) {
    rows_ = vectors(static_cast<std::int64_t>(ids.size()), settings.dim, random);
    kept_ = static_cast<int>(random.below(3));
  }

  const std::vector<std::int64_t>& ids() const { return ids_; }

  void search() {
    const std::int64_t n = 1 + random_.below(3), k = 1 + random_.below(random_.below(8) ? 12 : 400);
    const std::int64_t effort = 1 + random_.below(random_.below(8) ? 8 : 2147483647);
    const std::vector<float> queries = vectors(n, settings_.dim, random_);
    const std::vector<Half> halves(kept_ == 1 ? rows_.size() : 0, Half{0x3c00});
    IvfRows rows;
    rows.ids = ids_.data();
    if (kept_ == 0) rows.vectors = rows_.data();
    if (kept_ == 1) {
      rows.vectors = halves.data();
      rows.dtype = DType::f16;
    }
    const fuzz::Filter filter(ids_.size(), random_);
    if (filter.is_given) rows.allowed = filter.allowed.data();
    const auto may_be_found = [&](std::int64_t id) {
      const auto number = static_cast<std::size_t>(id - fuzz::kFirstId);
      return number < ids_.size() && ids_[number] == id && filter.allowed[number] != 0;
    };
    for (const std::int64_t id : ids_) rows.n_allowed += may_be_found(id) ? 1 : 0;
    fuzz::Found found(n, k);
    ivf_.search(queries.data(), n, k, effort, rows, 1, found.ids.data(), found.distances.data());
    found.check(may_be_found);
  }

  void add() {
    const std::int64_t n = random_.below(200) == 0 ? 1'500 : 1 + random_.below(60);
    std::vector<float> more = vectors(n, settings_.dim, random_);
    std::vector<std::int64_t> numbers;
    const bool is_reused = random_.below(2) == 0;  // numbers that rows have left
    for (std::size_t i = 0; i < ids_.size() && is_reused; ++i) {
      if (ids_[i] == kNoId && static_cast<std::int64_t>(numbers.size()) < n) {
        numbers.push_back(static_cast<std::int64_t>(i));
      }
    }
    while (static_cast<std::int64_t>(numbers.size()) < n) {
      numbers.push_back(static_cast<std::int64_t>(ids_.size()));
      ids_.push_back(kNoId);
    }
    rows_.resize(ids_.size() * static_cast<std::size_t>(settings_.dim), 1.0f);
    for (const std::int64_t number : numbers) {
      ids_[static_cast<std::size_t>(number)] = number + fuzz::kFirstId;
    }
    rows_.shrink_to_fit();
    ids_.shrink_to_fit();
    ivf_.add(more.data(), numbers.data(), n, 1);
  }

  void remove() {
    const std::uint32_t of_every = 1 + random_.below(8);
    std::vector<std::int64_t> gone{static_cast<std::int64_t>(ids_.size()) + 7};  // and one unknown
    for (std::size_t number = 0; number < ids_.size(); ++number) {
      if (ids_[number] == kNoId || random_.below(of_every) != 0) continue;
      ids_[number] = kNoId;
      gone.push_back(static_cast<std::int64_t>(number));
    }
    ivf_.remove(gone.data(), static_cast<std::int64_t>(gone.size()));
    if (random_.below(4) != 0) ivf_.merge(1 + random_.below(20), 1);
  }

 private:
  const IvfSettings& settings_;
  Ivf& ivf_;
  Random& random_;
  std::vector<std::int64_t> ids_;
  std::vector<float> rows_;
  int kept_;  // 0: float32, 1: float16, 2: no vectors
};

bool run(const std::vector<Saved>& all, std::uint64_t seed) {
  Random random(seed);
  Saved some = all[random.below(static_cast<std::uint32_t>(all.size()))];
  const bool is_damaged = random.below(16) != 0;
  if (is_damaged) fuzz::Damage(random).of(some.sections);
  Ivf ivf(some.settings, level_of(seed));
  if (!restore(some, ivf)) {
    expect(is_damaged, "what is whole to be accepted");
    return false;
  }
  Use use(some.settings, some.ids, ivf, random);
  fuzz::search_and_change(use, random);
  const Saved again = saved(some.settings, use.ids(), ivf);
  Ivf copy(some.settings, level_of(seed));
  expect(restore(again, copy), "what was saved to be accepted");
  expect(copy.size() == ivf.size(), "as many rows as were saved");
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Saved> all = made();
  return fuzz::run_all("ivf", argc, argv, [&](std::uint64_t seed) { return run(all, seed); });
}
