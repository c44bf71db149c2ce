// Values of rows as float64, and their sums in an order that is the same on every machine.
#pragma once

#include <cstdint>

#include "paradox/half.hpp"
#include "paradox/matrix.hpp"

namespace paradox {

inline double wide(const float* p) { return read(p); }
inline double wide(const std::int8_t* p) { return *p; }
inline double wide(const Half* p) { return to_float(read(p)); }

/// Sums term(j) over the dimension in eight interleaved parts, j ascending.
template <class Term>
inline double sum_of(std::int64_t dim, Term term) {
  double parts[8] = {};
  std::int64_t j = 0;
  for (; j + 8 <= dim; j += 8) {
    for (int part = 0; part < 8; ++part) parts[part] += term(j + part);
  }
  for (int part = 0; j < dim; ++j, ++part) parts[part] += term(j);
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) +
         ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}

}  // namespace paradox
