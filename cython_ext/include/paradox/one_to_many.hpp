// One query to many rows, for any level: bound by memory, so rows are read once, several at a time.
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

/// Integer arithmetic: int8 widened to int16, products of pairs added into int32 lanes. A lane sums
/// at most 65,536 / 8 squares below 2^16 (`core.vectors.MAX_DIM`, four lanes, two sums), so it
/// cannot overflow.
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

/// `kRows` rows at once, two sums for each: enough independent chains to hide the latency of the
/// multiply-add. The order of additions does not depend on `kRows`.
template <class Math, class Op, int kRows>
inline void some_rows(const typename Math::Query* query, const void* const* row_pointers,
                      std::int64_t dim, double* sums, double* squares) {
  using Vector = typename Math::Vector;
  const typename Math::Row* rows[kRows];
  Vector sum[kRows][2], square[kRows][2];
  for (int r = 0; r < kRows; ++r) {
    rows[r] = static_cast<const typename Math::Row*>(row_pointers[r]);
    for (int u = 0; u < 2; ++u) sum[r][u] = square[r][u] = Math::zero();
  }
  const auto step = [&](int u, Vector q, Vector x, int r) {
    sum[r][u] = Op::template step<Math>(q, x, sum[r][u]);
    if constexpr (Op::kSquares) square[r][u] = Math::dot(x, x, square[r][u]);
  };
  std::int64_t j = 0;
  for (; j + 2 * Math::kStep <= dim; j += 2 * Math::kStep) {
    for (int u = 0; u < 2; ++u) {
      const Vector q = Math::load(query + j + u * Math::kStep);
      for (int r = 0; r < kRows; ++r) step(u, q, Math::load(rows[r] + j + u * Math::kStep), r);
    }
  }
  if (j + Math::kStep <= dim) {
    const Vector q = Math::load(query + j);
    for (int r = 0; r < kRows; ++r) step(0, q, Math::load(rows[r] + j), r);
    j += Math::kStep;
  }
  if (j < dim) {
    const Vector q = load_tail<Math>(query + j, dim - j);
    for (int r = 0; r < kRows; ++r) step(1, q, load_tail<Math>(rows[r] + j, dim - j), r);
  }
  for (int r = 0; r < kRows; ++r) {
    sums[r] = Math::total(Math::add(sum[r][0], sum[r][1]));
    if constexpr (Op::kSquares) squares[r] = Math::total(Math::add(square[r][0], square[r][1]));
  }
}

template <class Math, class Op>
inline void one_to_many(const void* query_pointer, const void* const* rows, std::int64_t n,
                        std::int64_t dim, double* sums, double* squares) {
  constexpr int kRows = Op::kSquares ? 2 : 4;
  const auto* query = static_cast<const typename Math::Query*>(query_pointer);
  std::int64_t i = 0;
  for (; i + kRows <= n; i += kRows) {
    some_rows<Math, Op, kRows>(query, rows + i, dim, sums + i, squares + i);
  }
  for (; i < n; ++i) some_rows<Math, Op, 1>(query, rows + i, dim, sums + i, squares + i);
}

}  // namespace
}  // namespace paradox
