// What inverted lists are saved as. None of it is trusted to fit together: `restore` sees to that.
#pragma once

#include <cstdint>

namespace paradox {

/// The values of a section of a file, which may be more or fewer than there should be.
template <class T>
struct Section {
  const T* values = nullptr;
  std::int64_t n = 0;

  const T* begin() const { return values; }
  const T* end() const { return values + n; }
};

struct SavedLists {
  Section<std::int16_t> centres;  // (n_lists, dim) of the vectors as kept
  Section<float> scales;          // (n_lists,)
  Section<std::uint32_t> cells;   // (n_lists,)
  Section<std::int16_t> cell_centres;
  Section<float> cell_scales;
  Section<std::int64_t> sizes;                // (n_lists,) rows, removed ones among them
  Section<float> units;                       // (n_lists,) of offsets and slopes
  Section<std::uint8_t> blocks, supplements;  // of one list after the other
  Section<float> origin;                      // (dim,) of the vectors as they come
  float longest = 0.0f, farthest = 0.0f;
  std::int64_t split_size = 0;
};

}  // namespace paradox
