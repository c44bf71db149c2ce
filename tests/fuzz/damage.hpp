// Sections of a file, and what may happen to them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "paradox/graph/random.hpp"

namespace fuzz {

using paradox::Random;

/// One section: records of one size, of which a part is damaged more often than the rest.
struct Section {
  std::string name;
  std::size_t record = 1;
  std::size_t hot_begin = 0, hot_end = 0;  // bytes of a record; equal: all alike
  std::vector<std::uint8_t> bytes;

  std::int64_t n_records() const { return static_cast<std::int64_t>(bytes.size() / record); }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};

template <class T>
Section section_of(const char* name, const T* values, std::size_t n, std::size_t n_a_record = 1) {
  Section section{name, n_a_record * sizeof(T), 0, 0, {}};
  section.bytes.resize(n * sizeof(T));
  if (n > 0) std::memcpy(section.bytes.data(), values, section.bytes.size());
  return section;
}

/// Damages sections: what remains are whole records, as NumPy would refuse others.
class Damage {
 public:
  explicit Damage(Random& random) : random_(random) {}

  void of(std::vector<Section>& sections) {
    for (const Section& section : sections) {
      for (int more = -1; more <= 1; ++more) counts_.push_back(section.n_records() + more);
    }
    for (std::uint32_t times = 1 + random_.below(4); times > 0; --times) {
      once(sections[random_.below(static_cast<std::uint32_t>(sections.size()))]);
    }
    for (Section& section : sections) section.bytes.shrink_to_fit();  // what follows is poisoned
  }

 private:
  void once(Section& section) {
    std::vector<std::uint8_t>& bytes = section.bytes;
    const auto n = static_cast<std::uint32_t>(section.n_records());
    const std::size_t record = section.record;
    if (n == 0) {
      bytes.assign(record * (1 + random_.below(3)), static_cast<std::uint8_t>(random_.next()));
      return;
    }
    switch (random_.below(12)) {
      case 0:
        bytes.resize(record * random_.below(n));
        break;
      case 1: {  // the end once more
        const std::size_t more = record * (1 + random_.below(std::min(n, 40u)));
        const std::vector<std::uint8_t> end(bytes.end() - static_cast<std::ptrdiff_t>(more),
                                            bytes.end());
        bytes.insert(bytes.end(), end.begin(), end.end());
        break;
      }
      case 2: {  // a record for another
        const std::size_t from = record * random_.below(n), to = record * random_.below(n);
        std::memmove(bytes.data() + to, bytes.data() + from, record);
        break;
      }
      case 3: {  // one value from here to there
        const std::size_t begin = place(section, 1);
        const std::size_t end = std::min(begin + 1 + random_.below(64), bytes.size());
        constexpr std::uint8_t kValues[] = {0x00, 0xff, 0x80, 0x7f};
        std::fill(bytes.data() + begin, bytes.data() + end, kValues[random_.below(4)]);
        break;
      }
      case 4:
      case 5:
        bytes[place(section, 1)] ^= static_cast<std::uint8_t>(1u << random_.below(8));
        break;
      case 6:
        put(section, static_cast<std::int16_t>(random_.next()));
        break;
      case 7:
        put(section, odd_integer());
        break;
      case 8:
      case 9:
        put(section, odd_float());
        break;
      default:
        put(section, static_cast<std::int32_t>(odd_integer()));
    }
  }

  /// Where a value of some bytes may lie.
  std::size_t place(const Section& section, std::size_t n_bytes) {
    const std::size_t begin =
        section.record * random_.below(static_cast<std::uint32_t>(section.n_records()));
    const bool hot = section.hot_end > section.hot_begin && random_.below(2) == 0;
    const std::size_t first = hot ? section.hot_begin : 0;
    const std::size_t last = hot ? section.hot_end : section.record;
    const std::size_t n_places = std::max<std::size_t>((last - first) / n_bytes, 1);
    return begin + first + n_bytes * random_.below(static_cast<std::uint32_t>(n_places));
  }

  template <class T>
  void put(Section& section, T value) {
    const std::size_t at = place(section, sizeof value);
    std::memcpy(section.bytes.data() + at, &value,
                std::min(sizeof value, section.bytes.size() - at));
  }

  std::int64_t odd_integer() {
    switch (random_.below(5)) {
      case 0: {
        constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
        constexpr std::int64_t kOdd[] = {0,      1,       -1,         -2,         127,    128,
                                         0x7fff, -0x8000, 0x7fffffff, 0x80000000, kLeast, ~kLeast};
        return kOdd[random_.below(12)];
      }
      case 1:
        return std::int64_t{1} << random_.below(63);
      case 2:
        return static_cast<std::int64_t>(random_.next());
      default:
        return counts_[random_.below(static_cast<std::uint32_t>(counts_.size()))];
    }
  }

  float odd_float() {
    using Limits = std::numeric_limits<float>;
    constexpr float kOdd[] = {0.0f,
                              -0.0f,
                              1.0f,
                              -1.0f,
                              Limits::infinity(),
                              -Limits::infinity(),
                              Limits::quiet_NaN(),
                              Limits::max(),
                              -Limits::max(),
                              Limits::min(),
                              Limits::denorm_min(),
                              1e15f,
                              1e17f,
                              1e30f,
                              -1e-30f};
    return kOdd[random_.below(15)];
  }

  Random& random_;
  std::vector<std::int64_t> counts_;
};

}  // namespace fuzz
