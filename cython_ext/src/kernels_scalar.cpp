// The level that every machine has: plain C++, one rounding for a product and one for a sum.
#include <cstdint>

#include "paradox/define_kernels.hpp"
#include "paradox/half.hpp"

namespace {

struct Scalar {
  static constexpr int kLanes = 4;
  static constexpr int kTileVectors = 2;
  static constexpr int kTileRows = 4;
  static constexpr int kCodeVectors = 2;
  static constexpr int kCodeRows = 4;
  static constexpr int kByteCells = 1;
  static constexpr int kQueryLimit = 127;
  struct Float {
    float lane[kLanes];
  };
  struct Int {
    std::int32_t low[kLanes], high[kLanes];  // a pair of int16 in each lane; sums in `low`
  };

  template <class Vector, class Function>
  static Vector each(Function function) {
    Vector result;
    for (int i = 0; i < kLanes; ++i) result.lane[i] = function(i);
    return result;
  }

  static Float zero() { return broadcast(0.0f); }
  static Float broadcast(float value) {
    return each<Float>([&](int) { return value; });
  }
  static Float load(const float* p) {
    return each<Float>([&](int i) { return paradox::read(p + i); });
  }
  static Float load(const paradox::Half* p) {
    return each<Float>([&](int i) { return paradox::to_float(paradox::read(p + i)); });
  }
  static Float load(const std::int8_t* p) {
    return each<Float>([&](int i) { return static_cast<float>(p[i]); });
  }
  static void store(float* p, Float a) {
    for (int i = 0; i < kLanes; ++i) p[i] = a.lane[i];
  }
  static Float add(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static Float sub(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static Float mul(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static Float fma(Float a, Float b, Float c) {
    return each<Float>([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
  }
  static Float max(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Float min_number(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static float sum(Float a) { return (a.lane[0] + a.lane[1]) + (a.lane[2] + a.lane[3]); }
  static unsigned not_greater_equal(Float a, Float b) {
    unsigned bits = 0;
    for (int i = 0; i < kLanes; ++i) bits |= static_cast<unsigned>(!(a.lane[i] >= b.lane[i])) << i;
    return bits;
  }

  static Int broadcast_i32(std::int32_t value) {
    Int result{};
    for (int i = 0; i < kLanes; ++i) result.low[i] = value;
    return result;
  }
  static Int zero_int() { return Int{}; }
  template <class Value>
  static Int pairs(const Value* p, int step) {
    Int result;
    for (int i = 0; i < kLanes; ++i) {
      result.low[i] = p[i * step];
      result.high[i] = p[i * step + 1];
    }
    return result;
  }
  static Int load_wide(const std::int8_t* p) { return pairs(p, 2); }
  static Int load_pairs(const std::int16_t* p) { return pairs(p, 2); }
  static Int broadcast_pair(const std::int16_t* p) { return pairs(p, 0); }
  static Int load_i32(const std::int32_t* p) {
    Int result{};
    for (int i = 0; i < kLanes; ++i) result.low[i] = p[i];
    return result;
  }
  static void store(std::int32_t* p, const Int& a) {
    for (int i = 0; i < kLanes; ++i) p[i] = a.low[i];
  }
  static Int sub_i16(const Int& a, const Int& b) {
    Int result;
    for (int i = 0; i < kLanes; ++i) {
      result.low[i] = a.low[i] - b.low[i];
      result.high[i] = a.high[i] - b.high[i];
    }
    return result;
  }
  static Float to_float(const Int& a) {
    return each<Float>([&](int i) { return static_cast<float>(a.low[i]); });
  }
  static Int sub_i32(const Int& a, const Int& b) {
    Int result{};
    for (int i = 0; i < kLanes; ++i) result.low[i] = a.low[i] - b.low[i];
    return result;
  }
  static Int add_i32(const Int& a, const Int& b) {
    Int result{};
    for (int i = 0; i < kLanes; ++i) result.low[i] = a.low[i] + b.low[i];
    return result;
  }
  static Int dot_i16(const Int& a, const Int& b, const Int& sum) {
    Int result{};
    for (int i = 0; i < kLanes; ++i) {
      result.low[i] = sum.low[i] + a.low[i] * b.low[i] + a.high[i] * b.high[i];
    }
    return result;
  }
  static Int totals(const Int (&rows)[kLanes]) {
    Int result{};
    for (int i = 0; i < kLanes; ++i) result.low[i] = static_cast<std::int32_t>(sum(rows[i]));
    return result;
  }

  /// A cell of four bytes is kept as it lies, in `low`.
  static Int broadcast_cell(const std::uint8_t* p) { return cells(p, 0); }
  template <class Byte>
  static Int load_cells(const Byte* p) {
    return cells(p, 4);
  }
  static Int dot_bytes(const Int (&codes)[1], const Int (&queries)[1], Int sum) {
    for (int i = 0; i < kLanes; ++i) {
      std::uint8_t code[4];
      std::int8_t query[4];
      std::memcpy(code, &codes[0].low[i], sizeof code);
      std::memcpy(query, &queries[0].low[i], sizeof query);
      for (int j = 0; j < 4; ++j) sum.low[i] += code[j] * query[j];
    }
    return sum;
  }
  static std::int64_t sum(const Int& a) {
    std::int64_t result = 0;
    for (int i = 0; i < kLanes; ++i) result += a.low[i];
    return result;
  }

 private:
  template <class Byte>
  static Int cells(const Byte* p, int step) {
    Int result{};
    for (int i = 0; i < kLanes; ++i) std::memcpy(&result.low[i], p + i * step, 4);
    return result;
  }
};

}  // namespace

PARADOX_DEFINE_KERNELS(scalar, Scalar)
