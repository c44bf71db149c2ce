// Queries as integer codes, once per call, one by one or in panels for the tile; and the terms of
// their bounds (`docs/exact.md`).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "paradox/aligned.hpp"
#include "paradox/codes.hpp"
#include "paradox/float64.hpp"
#include "paradox/kernel_table.hpp"
#include "paradox/round.hpp"

namespace paradox {

class CodedQueries {
 public:
  struct Panel {
    std::int64_t first_query;
    int n_queries;
    int vectors;
    int width;  // lanes: n_queries and padding, whose terms are zero
    AlignedVector<std::int8_t> cells;
    AlignedVector<float> slopes, lengths, rests;
    AlignedVector<std::int32_t> offsets;

    QueryTerms terms() const {
      return {slopes.data(), lengths.data(), rests.data(), offsets.data()};
    }
  };

  /// Codes of up to `limit`, padded to `width`.
  CodedQueries(const Matrix& queries, Metric metric, std::int64_t width, int limit)
      : n_(queries.n),
        width_(width),
        codes_(queries.n * width),
        slopes_(queries.n),
        lengths_(queries.n),
        rests_(queries.n),
        offsets_(queries.n),
        constants_(queries.n),
        doubts_(queries.n),
        bounded_(queries.n) {
    for (std::int64_t i = 0; i < n_; ++i) {
      encode(i, static_cast<const float*>(queries.row(i)), queries.dim, metric, limit);
    }
  }

  std::int64_t n() const { return n_; }
  std::int64_t width() const { return width_; }
  const std::int8_t* codes(std::int64_t i) const { return codes_.data() + i * width_; }
  QueryTerms terms(std::int64_t i) const {
    return {&slopes_[i], &lengths_[i], &rests_[i], &offsets_[i]};
  }

  /// What a distance is more than the bounds say, which leave it out as it is the same for all
  /// rows: rounded down.
  double constant(std::int64_t i) const { return constants_[i]; }

  /// What float64 distances may be off for the query's part in them, which bounds leave out.
  double doubt(std::int64_t i) const { return doubts_[i]; }

  /// Is the query such that bounds mean something?
  bool bounded(std::int64_t i) const { return bounded_[i]; }

  std::vector<Panel> panels(const KernelTable& kernels) const {
    std::vector<Panel> panels;
    for (std::int64_t first = 0; first < n_;) {
      const std::int64_t left = (n_ - first + kernels.lanes - 1) / kernels.lanes;
      Panel panel;
      panel.first_query = first;
      panel.vectors = static_cast<int>(std::min<std::int64_t>(left, kernels.code_vectors));
      panel.width = panel.vectors * kernels.lanes;
      panel.n_queries = static_cast<int>(std::min<std::int64_t>(panel.width, n_ - first));
      fill(panel);
      first += panel.n_queries;
      panels.push_back(std::move(panel));
    }
    return panels;
  }

 private:
  void encode(std::int64_t i, const float* query, std::int64_t dim, Metric metric, int limit) {
    const double norm = std::sqrt(sum_of(dim, [=](std::int64_t j) {
      const double value = wide(query + j);
      return value * value;
    }));
    const bool is_cosine = metric == Metric::cosine;
    const bool in_range = is_cosine || norm == 0.0 || (norm >= kLeastNorm && norm <= kGreatestNorm);
    bounded_[i] = std::isfinite(norm) && in_range;
    if (!bounded_[i]) return;
    if (metric == Metric::l2) {
      constants_[i] = norm * norm / kAbout;
      doubts_[i] = norm * norm * 0x1p-35;
    }
    if (is_cosine) constants_[i] = 1.0;
    if (norm == 0.0) return;
    const double unit = is_cosine ? 1.0 / norm : 1.0;
    double greatest = 0.0;
    for (std::int64_t j = 0; j < dim; ++j)
      greatest = std::max(greatest, std::fabs(wide(query + j)));
    const float scale = round_up(greatest * unit / limit);
    std::int8_t* codes = codes_.data() + i * width_;
    const double rest_squares = sum_of(dim, [&](std::int64_t j) {
      const double value = wide(query + j) * unit;
      const double code = rounded(value / scale);
      codes[j] = static_cast<std::int8_t>(code);
      const double rest = value - scale * code;
      return rest * rest;
    });
    double squares = 0.0;
    for (std::int64_t j = 0; j < dim; ++j) {
      squares += static_cast<double>(codes[j]) * codes[j];
      offsets_[i] += kCodeZero * codes[j];
    }
    const float factor = metric == Metric::l2 ? 2.0f : 1.0f;
    const double rest = std::sqrt(rest_squares), norm_used = is_cosine ? 1.0 : norm;
    slopes_[i] = -factor * scale;
    lengths_[i] = -factor * round_up(scale * std::sqrt(squares) * kAbout);
    rests_[i] = -factor * round_up(rest * kAbout + kUnit * (16 * rest + 0x1p-10 * norm_used));
  }

  void fill(Panel& panel) const {
    const auto lanes = static_cast<std::size_t>(panel.width);
    const std::int64_t steps = (width_ + kPanelStep - 1) / kPanelStep;
    panel.cells.resize(static_cast<std::size_t>(steps * kPanelStep) * lanes);
    const auto copy = [&](auto& out, const auto& all) {
      out.resize(lanes);
      std::copy_n(all.begin() + panel.first_query, panel.n_queries, out.begin());
    };
    copy(panel.slopes, slopes_);
    copy(panel.lengths, lengths_);
    copy(panel.rests, rests_);
    copy(panel.offsets, offsets_);
    for (int i = 0; i < panel.n_queries; ++i) {
      const std::int8_t* from = codes(panel.first_query + i);
      for (std::int64_t j = 0; j < width_; ++j) {
        const std::int64_t cell = j / kCodeCell * panel.width + i;
        panel.cells[cell * kCodeCell + j % kCodeCell] = from[j];
      }
    }
  }

  std::int64_t n_, width_;
  std::vector<std::int8_t> codes_;
  std::vector<float> slopes_, lengths_, rests_;
  std::vector<std::int32_t> offsets_;
  std::vector<double> constants_, doubts_;
  std::vector<char> bounded_;
};

}  // namespace paradox
