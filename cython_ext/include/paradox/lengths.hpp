// How long vectors may be, so that their squares, and sums of these, stay in float32.
#pragma once

namespace paradox {

/// Of the vectors and queries that come (`approximate.py`): sums of a million squares fit.
constexpr double kGreatestLength = 1e15;

/// Of what is kept of them, residuals and origins among it: a square fits.
constexpr float kMostKeptLength = 1e16f;

inline bool is_kept_length(float value) { return value >= 0.0f && value <= kMostKeptLength; }

}  // namespace paradox
