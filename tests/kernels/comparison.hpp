// Kernels of a level beside the scalar ones: what they are given, and whether they differ in a bit.
//
// Every array begins one value into its memory and ends with its last, so that an address sanitizer
// sees a read beyond it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "paradox/graph/random.hpp"

template <class T>
class Values {
 public:
  explicit Values(std::int64_t n) : values_(static_cast<std::size_t>(n + 1)) {}
  template <class Draw>
  Values(std::int64_t n, Draw draw) : Values(n) {
    for (T& value : *this) value = draw();
  }

  T* begin() { return values_.data() + 1; }
  T* end() { return values_.data() + values_.size(); }
  const T* data() const { return values_.data() + 1; }
  std::size_t bytes() const { return (values_.size() - 1) * sizeof(T); }

 private:
  std::vector<T> values_;
};

/// What values are drawn: of one size, or what is easily got wrong.
struct Kind {
  const char* name;
  float size;    // greatest absolute value
  int of_every;  // one of so many is not zero
  bool coarse;   // whole multiples of half the size, so that many are equal, and halves are rounded
};
constexpr Kind kKinds[] = {
    {"plain", 1.0f, 1, false},      {"of halves", 1.0f, 1, true}, {"mostly zero", 1.0f, 16, false},
    {"zero", 0.0f, 1, false},       {"huge", 1e18f, 1, false},    {"tiny", 1e-30f, 1, false},
    {"denormal", 1e-41f, 1, false},
};

template <class Kernels>
class Comparison {
 public:
  Comparison(const Kernels& scalar, const Kernels& kernels) : scalar_(scalar), kernels_(kernels) {}

  /// Prints how many results of a level there were; 0 where all were the same, and 1 else.
  int end(const char* isa) const {
    std::printf("%s: %d checked\n", isa, n_checked_);
    return n_wrong_ == 0 ? 0 : 1;
  }

 protected:
  void begin(int dim, const Kind& kind) {
    dim_ = dim;
    kind_ = &kind;
  }

  int whole(int least, int most) {
    return least + static_cast<int>((random_.next() >> 33) % (most - least + 1));
  }

  float draw() {
    if (whole(1, kind_->of_every) != 1) return whole(0, 1) == 0 ? 0.0f : -0.0f;
    if (kind_->coarse) return kind_->size * 0.5f * static_cast<float>(whole(-2, 2));
    return kind_->size * static_cast<float>(whole(-(1 << 23), 1 << 23)) * 0x1p-23f;
  }

  /// Finite, as the scales that kernels are given.
  static float quotient(float a, float b) {
    return b > 0.0f ? std::min(a / b, std::numeric_limits<float>::max()) : 0.0f;
  }

  template <class T, class Run>
  void check(const char* operation, std::int64_t n, const Run& run) {
    Values<T> expected(n), found(n);
    run(scalar_, expected.begin());
    run(kernels_, found.begin());
    expect(operation, std::memcmp(found.begin(), expected.begin(), found.bytes()) == 0);
  }

  void expect(const char* operation, bool is_right) {
    ++n_checked_;
    if (is_right) return;
    ++n_wrong_;
    std::fprintf(stderr, "%s: another result than scalar, dim %d, values %s\n", operation, dim_,
                 kind_->name);
  }

  const Kernels& scalar_;
  const Kernels& kernels_;
  const Kind* kind_ = nullptr;
  int dim_ = 0;
  paradox::Random random_{1};

 private:
  int n_checked_ = 0, n_wrong_ = 0;
};
