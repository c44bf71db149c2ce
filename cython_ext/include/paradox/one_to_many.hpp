// One query to many rows, for any level: bound by memory, so every row is read once, in order.
//
// Everything is in an unnamed namespace on purpose: each level compiles its own copy, and the
// linker must never replace a baseline function by one that was compiled for a better machine.
#pragma once

#include <cstdint>
#include <cstring>

#include "paradox/matrix.hpp"

namespace paradox {
namespace {

/// float32 arithmetic over rows stored as `RowValue`, converted on load.
template <class Simd, class RowValue>
struct FloatMath {
  using Query = float;
  using Row = RowValue;
  using Vector = typename Simd::Float;
  static constexpr int kStep = Simd::kLanes;

  template <class Value>
  static Vector load(const Value* values) {
    return Simd::load(values);
  }
  static Vector zero() { return Simd::zero(); }
  static Vector add(Vector a, Vector b) { return Simd::add(a, b); }
  static Vector dot(Vector a, Vector b, Vector sum) { return Simd::fma(a, b, sum); }
  static Vector difference(Vector a, Vector b) { return Simd::sub(a, b); }
  static double total(Vector a) { return Simd::sum(a); }
};

/// Integer arithmetic: int8 widened to int16, products of pairs added into int32 lanes. A lane of
/// the joined sums holds at most 65,536 / 4 squares below 2^16 (`core.vectors.MAX_DIM`, four
/// lanes), so it cannot overflow.
template <class Simd>
struct IntMath {
  using Query = std::int8_t;
  using Row = std::int8_t;
  using Vector = typename Simd::Int;
  static constexpr int kStep = 2 * Simd::kLanes;

  static Vector load(const std::int8_t* values) { return Simd::load_wide(values); }
  static Vector zero() { return Simd::zero_int(); }
  static Vector add(Vector a, Vector b) { return Simd::add_i32(a, b); }
  static Vector dot(Vector a, Vector b, Vector sum) { return Simd::dot_i16(a, b, sum); }
  static Vector difference(Vector a, Vector b) { return Simd::sub_i16(a, b); }
  static double total(Vector a) { return static_cast<double>(Simd::sum(a)); }
};

struct L2 {
  static constexpr bool kSquares = false;
  template <class Math, class Vector>
  static Vector step(Vector q, Vector x, Vector sum) {
    const Vector d = Math::difference(q, x);
    return Math::dot(d, d, sum);
  }
};

struct Dot {
  static constexpr bool kSquares = false;
  template <class Math, class Vector>
  static Vector step(Vector q, Vector x, Vector sum) {
    return Math::dot(q, x, sum);
  }
};

struct Cosine : Dot {
  static constexpr bool kSquares = true;
};

template <class Math, class Value>
inline typename Math::Vector load_tail(const Value* values, std::int64_t n) {
  Value padded[Math::kStep] = {};
  std::memcpy(padded, values, static_cast<std::size_t>(n) * sizeof(Value));
  return Math::load(padded);
}

/// Four sums for each row: enough independent chains to hide the latency of the multiply-add.
template <class Math, class Op>
inline void one_row(const typename Math::Query* query, const typename Math::Row* row,
                    std::int64_t dim, double* sum, double* square) {
  using Vector = typename Math::Vector;
  constexpr int kStep = Math::kStep;
  constexpr int kSums = 4;
  Vector sums[kSums], squares[kSums];
  for (int u = 0; u < kSums; ++u) sums[u] = squares[u] = Math::zero();
  const auto step = [&](int u, Vector q, Vector x) {
    sums[u] = Op::template step<Math>(q, x, sums[u]);
    if constexpr (Op::kSquares) squares[u] = Math::dot(x, x, squares[u]);
  };
  std::int64_t j = 0;
  for (; j + kSums * kStep <= dim; j += kSums * kStep) {
    for (int u = 0; u < kSums; ++u) {
      step(u, Math::load(query + j + u * kStep), Math::load(row + j + u * kStep));
    }
  }
  for (int u = 0; u < kSums - 1; ++u) {
    if (j + kStep > dim) break;
    step(u, Math::load(query + j), Math::load(row + j));
    j += kStep;
  }
  if (j < dim) {
    step(kSums - 1, load_tail<Math>(query + j, dim - j), load_tail<Math>(row + j, dim - j));
  }
  const auto total = [](const Vector* parts) {
    return Math::total(Math::add(Math::add(parts[0], parts[1]), Math::add(parts[2], parts[3])));
  };
  *sum = total(sums);
  if constexpr (Op::kSquares) *square = total(squares);
}

/// Rows are read one after another: sequential reads reach the memory's bandwidth by the hardware's
/// own prefetching, where two or four rows side by side reached 0.6 to 0.8 of it, with software
/// prefetching or without (AMD Milan, 200k rows of 128 and 384 float32).
template <class Math, class Op>
inline void one_to_many(const void* query, const void* const* rows, std::int64_t n,
                        std::int64_t dim, double* sums, double* squares) {
  for (std::int64_t i = 0; i < n; ++i) {
    one_row<Math, Op>(static_cast<const typename Math::Query*>(query),
                      static_cast<const typename Math::Row*>(rows[i]), dim, sums + i, squares + i);
  }
}

}  // namespace
}  // namespace paradox
