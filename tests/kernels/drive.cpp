// Runs the kernels without Python: cases come in on stdin, results go out on stdout, so that a
// level can be tried where only an emulator or a sanitizer can run it (`test_emulated.py`).
//
// A case is a `Header` and then the queries, the rows, the mask of a masked `top_k`, and the
// positions of a `refine`. Codes are made of the rows; ids count down. A matrix begins `offset_bytes` into its memory, has `gap_bytes` between
// its rows, and ends with its last value, so that an address sanitizer sees a read beyond it.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "paradox/certified.hpp"
#include "paradox/codes.hpp"
#include "paradox/kernel_table.hpp"
#include "paradox/matrix.hpp"
#include "paradox/scan.hpp"

#ifdef PARADOX_TABLES  // the only tables that are linked in, as a comma-separated list
namespace paradox {
extern const KernelTable PARADOX_TABLES;
}
#endif

namespace {

using paradox::Codes;
using paradox::DType;
using paradox::KernelTable;
using paradox::Matrix;
using paradox::Metric;

struct Header {
  std::int64_t operation, metric;
  std::int64_t n_queries, n_rows, dim;
  std::int64_t query_dtype, row_dtype;
  std::int64_t offset_bytes, gap_bytes;
  std::int64_t m;  // k of top_k, candidates of a query of refine
  std::int64_t threads, masked;
};

enum Operation : std::int64_t {
  kDistances,
  kTopK,
  kRefine,
  kRowNorms,
  kLowerBounds,
  kCertifiedTopK
};

/// False at the end of the input.
bool read(void* out, std::size_t size) {
  const std::size_t n = std::fread(out, 1, size, stdin);
  if (n != 0 && n != size) throw std::runtime_error("input: ends within a value");
  return n == size;
}

template <class T>
std::vector<T> read_vector(std::int64_t n) {
  std::vector<T> values(static_cast<std::size_t>(n));
  if (n > 0 && !read(values.data(), values.size() * sizeof(T))) {
    throw std::runtime_error("input: ends within a case");
  }
  return values;
}

template <class T>
void write(const std::vector<T>& values) {
  std::fwrite(values.data(), sizeof(T), values.size(), stdout);
}

/// Rows and their codes, which end with their last value.
struct Coded {
  std::vector<std::uint8_t> values;
  std::vector<float> terms;
  Codes codes;

  Coded(const Matrix& rows, Metric metric) : terms(static_cast<std::size_t>(4 * rows.n)) {
    constexpr std::int64_t step = paradox::kCodeStep;
    codes.n = rows.n;
    codes.is_signed = rows.dtype == DType::i8;
    codes.width = codes.is_signed ? rows.dim : (rows.dim + step - 1) / step * step;
    codes.stride_bytes = codes.is_signed ? rows.stride_bytes : codes.width;
    if (!codes.is_signed) values.resize(static_cast<std::size_t>(rows.n * codes.width));
    paradox::encode(rows, metric, codes.is_signed ? nullptr : values.data(), codes.width,
                    terms.data(), rows.n);
    codes.values = codes.is_signed ? rows.data : values.data();
    const float* all = terms.data();
    codes.terms = {all, all + rows.n, all + 2 * rows.n, all + 3 * rows.n};
  }
};

struct Case {
  Header header;
  std::vector<char> query_bytes, row_bytes;
  std::vector<std::uint8_t> allow;
  std::vector<std::int64_t> positions;

  bool next() {
    if (!read(&header, sizeof header)) return false;
    query_bytes = read_vector<char>(size_of(queries()));
    row_bytes = read_vector<char>(size_of(rows()));
    allow = read_vector<std::uint8_t>(header.masked ? header.n_rows : 0);
    const bool positioned = header.operation == kRefine;
    positions = read_vector<std::int64_t>(positioned ? header.n_queries * header.m : 0);
    return true;
  }

  Matrix queries() const { return matrix(query_bytes, header.n_queries, header.query_dtype); }
  Matrix rows() const { return matrix(row_bytes, header.n_rows, header.row_dtype); }

  Matrix matrix(const std::vector<char>& bytes, std::int64_t n, std::int64_t dtype) const {
    Matrix matrix{nullptr, n, header.dim, 0, static_cast<DType>(dtype)};
    matrix.stride_bytes = matrix.row_bytes() + header.gap_bytes;
    if (!bytes.empty()) matrix.data = bytes.data() + header.offset_bytes;
    return matrix;
  }

  std::int64_t size_of(const Matrix& matrix) const {
    const std::int64_t gaps = matrix.n == 0 ? 0 : (matrix.n - 1) * header.gap_bytes;
    return header.offset_bytes + matrix.n * matrix.row_bytes() + gaps;
  }

  void run(const KernelTable& kernels) const {
    const auto metric = static_cast<Metric>(header.metric);
    const auto n_results = static_cast<std::size_t>(header.n_queries * header.m);
    switch (header.operation) {
      case kDistances: {
        std::vector<float> out(static_cast<std::size_t>(header.n_rows));
        paradox::distances(kernels, queries(), rows(), metric, out.data());
        return write(out);
      }
      case kTopK: {
        std::vector<std::int64_t> found(n_results);
        std::vector<float> out(n_results);
        paradox::top_k(kernels, queries(), rows(), metric, header.m,
                       header.masked ? allow.data() : nullptr, static_cast<int>(header.threads),
                       found.data(), out.data());
        write(found);
        return write(out);
      }
      case kRefine: {
        std::vector<double> out(n_results);
        paradox::refine(queries(), rows(), positions.data(), header.m, metric, out.data());
        return write(out);
      }
      case kLowerBounds: {
        std::vector<double> out(static_cast<std::size_t>(header.n_queries * header.n_rows));
        const Coded coded(rows(), metric);
        paradox::lower_bounds(kernels, queries(), coded.codes, metric, out.data());
        return write(out);
      }
      case kCertifiedTopK: {
        std::vector<std::int64_t> found(n_results, -1), ids;
        std::vector<double> out(n_results);
        std::vector<std::uint8_t> certified(static_cast<std::size_t>(header.n_queries));
        const Matrix all = rows();
        const Coded coded(all, metric);
        for (std::int64_t i = 0; i < all.n; ++i) ids.push_back(all.n - i);
        const paradox::CodedRows searched{&all, &coded.codes, ids.data(),
                                          header.masked ? allow.data() : nullptr};
        paradox::certified_top_k(kernels, queries(), searched, metric, header.m,
                                 static_cast<int>(header.threads), found.data(), out.data(),
                                 certified.data());
        write(found);
        write(out);
        return write(certified);
      }
      case kRowNorms: {
        std::vector<double> out(static_cast<std::size_t>(header.n_rows));
        paradox::row_norms(rows(), out.data());
        return write(out);
      }
    }
    throw std::runtime_error("input: an unknown operation");
  }
};

/// A level of the machine, or, so that one can be emulated or tried alone, of those linked in.
const KernelTable* kernels_of(const char* isa) {
#ifdef PARADOX_TABLES
  using namespace paradox;
  static const KernelTable tables[] = {PARADOX_TABLES};
  for (const KernelTable& table : tables) {
    if (std::strcmp(table.isa, isa) == 0) return &table;
  }
  return nullptr;
#else
  return paradox::find_kernels(isa);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  const KernelTable* kernels = argc == 2 ? kernels_of(argv[1]) : nullptr;
  if (kernels == nullptr) {
    std::fprintf(stderr, "drive: expected a level this machine has\n");
    return 2;
  }
  try {
    for (Case one; one.next();) one.run(*kernels);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "drive: %s\n", error.what());
    return 1;
  }
  return 0;
}
