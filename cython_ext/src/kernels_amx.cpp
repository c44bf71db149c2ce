// AVX-512 with VNNI, and codes of many queries multiplied by AMX: a tile register holds 16 rows of
// 64 bytes, and one instruction multiplies 16 rows of codes with 16 queries over 64 dimensions.
#if defined(__x86_64__) || defined(_M_X64)

#include <immintrin.h>

#include <atomic>
#include <cstdint>
#include <cstring>

#include "paradox/avx512vnni.hpp"
#include "paradox/define_kernels.hpp"

namespace {

struct Amx : Avx512Vnni {
  static constexpr int kCodeVectors = 4;
  static constexpr int kCodeRows = 32;
};

}  // namespace

namespace paradox {
namespace {

constexpr int kTileSide = 16;   // rows of a register
constexpr int kTileBytes = 64;  // of each
static_assert(kTileSide == Amx::kLanes && 2 * kTileSide == Amx::kCodeRows);
static_assert(kPanelStep % kTileBytes == 0);

// Registers, by number as the intrinsics want them: sums 0 to 3, rows 4 and 5, queries 6 and 7.

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {kTileBytes, kTileBytes, kTileBytes, kTileBytes,
                                 kTileBytes, kTileBytes, kTileBytes, kTileBytes};
  std::uint8_t rows[16] = {kTileSide, kTileSide, kTileSide, kTileSide,
                           kTileSide, kTileSide, kTileSide, kTileSide};
};
// Not on the stack: GCC 12 takes no more than its first eight bytes to be read.
constexpr TileConfig kWholeTiles;

/// All eight registers, whole, until it goes: then the system need not keep them for the thread.
class Tiles {
 public:
  Tiles() { _tile_loadconfig(&kWholeTiles); }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

/// The codes of 32 rows: where they lie, if that is one after the other, or copied a step at a
/// time.
class TileRows {
 public:
  TileRows(const void* const* rows, std::int64_t width) : rows_(rows), width_(width) {
    const auto* first = static_cast<const std::uint8_t*>(rows[0]);
    stride_ = static_cast<const std::uint8_t*>(rows[1]) - first;
    for (int r = 2; r < Amx::kCodeRows; ++r) is_even_ &= rows[r] == first + r * stride_;
  }

  /// Loads the codes from `j` on into registers 4 and 5.
  void load(std::int64_t j) {
    const auto* first = static_cast<const std::uint8_t*>(rows_[0]) + j;
    std::int64_t stride = stride_;
    if (!is_even_ || j + kTileBytes > width_) {
      copy(j);
      first = copies_;
      stride = kTileBytes;
    }
    _tile_loadd(4, first, stride);
    _tile_loadd(5, first + kTileSide * stride, stride);
  }

 private:
  /// What is beyond a row's codes stays zero, or what it was: queries are zero there.
  void copy(std::int64_t j) {
    const std::int64_t left = width_ - j;
    const auto n = static_cast<std::size_t>(left < kTileBytes ? left : kTileBytes);
    for (int r = 0; r < Amx::kCodeRows; ++r) {
      std::memcpy(copies_ + r * kTileBytes, static_cast<const std::uint8_t*>(rows_[r]) + j, n);
    }
    std::atomic_signal_fence(std::memory_order_seq_cst);  // GCC 12 knows not what a load reads
  }

  const void* const* rows_;
  std::int64_t width_, stride_;
  bool is_even_ = true;
  alignas(64) std::uint8_t copies_[Amx::kCodeRows * kTileBytes] = {};
};

/// The products of 32 rows with 16 or 32 queries.
template <int kVectors>
struct TileDots {
  alignas(64) std::int32_t of_row[Amx::kCodeRows][kVectors * kTileSide];

  /// `panel` are the cells of these queries, `stride` bytes from those of one step to the next.
  TileDots(TileRows& rows, std::int64_t width, const std::int8_t* panel, std::int64_t stride) {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kVectors == 2) {
      _tile_zero(2);
      _tile_zero(3);
    }
    for (std::int64_t j = 0; j < width; j += kTileBytes, panel += kTileSide * stride) {
      rows.load(j);
      _tile_loadd(6, panel, stride);
      _tile_dpbusd(0, 4, 6);
      _tile_dpbusd(1, 5, 6);
      if constexpr (kVectors == 2) {
        _tile_loadd(7, panel + kTileBytes, stride);
        _tile_dpbusd(2, 4, 7);
        _tile_dpbusd(3, 5, 7);
      }
    }
    constexpr std::int64_t out = sizeof of_row[0];
    _tile_stored(0, of_row[0], out);
    _tile_stored(1, of_row[kTileSide], out);
    if constexpr (kVectors == 2) {
      _tile_stored(2, of_row[0] + kTileSide, out);
      _tile_stored(3, of_row[kTileSide] + kTileSide, out);
    }
  }
};

/// Bounds from vector `first` of the panel on; adds to the hits.
template <int kVectors>
inline void bound(const CodeTile& job, TileRows& rows, std::int64_t i, int first) {
  const std::int64_t stride = job.vectors * kTileBytes;
  const TileDots<kVectors> dots(rows, job.width, job.panel + first * kTileBytes, stride);
  const PanelLanes<Amx, kVectors> queries(job, first);
  for (int r = 0; r < Amx::kCodeRows; ++r) {
    job.hits[i + r] |= bound_row(job, queries, i + r, dots.of_row[r]);
  }
}

template <>
inline void bound_tile<Amx>(const CodeTile& job) {
  const Tiles tiles;
  std::memset(job.hits, 0, static_cast<std::size_t>(job.n_rows) * sizeof *job.hits);
  for (std::int64_t i = 0; i < job.n_rows; i += Amx::kCodeRows) {
    TileRows rows(job.rows + i, job.width);
    int first = 0;
    for (; first + 2 <= job.vectors; first += 2) bound<2>(job, rows, i, first);
    if (first < job.vectors) bound<1>(job, rows, i, first);
  }
}

}  // namespace
}  // namespace paradox

PARADOX_DEFINE_KERNELS(amx, Amx)

#endif
