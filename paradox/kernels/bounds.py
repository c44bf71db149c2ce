"""How far a float32 distance may be from the true one.

`top_k` and `distances` sum in float32. `error_bound` is proven for every level and every shape of
call, so that an answer in float32 can be certified: a row whose float32 distance exceeds another's
by more than both bounds is truly farther.

Derivation, after Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, chapter 3.
With u = 2^-24 and gamma(m) = m u / (1 - m u), a product of m factors (1 + d)^(+-1), |d| <= u, is
1 + theta with |theta| <= gamma(m). Let m = depth(dim) be the most roundings that any one product
of a dot product passes through:

- The tile (`tile.hpp`) sums chunks of 256 dimensions one by one from zero, and then the chunks:
  1 for the product where the level has no fused multiply-add, min(dim, 256) for the sum in the
  chunk, ceil(dim / 256) for the sum of chunks.
- One query to many (`one_to_many.hpp`) keeps four vectors of sums: sixteen sums or more, each of
  at most floor(dim / 16) + 1 terms, joined by 2 additions of vectors and at most 4 of lanes (of
  sixteen); 1 for the product.
- Never more than dim, as additions of zero are exact.

So |fl(q.x) - q.x| <= gamma(m) |q|.|x| <= gamma(m) norm(q) norm(x) (Cauchy-Schwarz). float16 and
int8 convert to float32 without error. Then:

- ip: negation is exact: gamma(m) norm(q) norm(x).
- l2 as a sum of (q - x)^2: the difference is rounded once and used twice: gamma(m + 2) times the
  distance itself, which is at most (norm(q) + norm(x))^2.
- l2 as norm(q)^2 + (norm(x)^2 - 2 q.x), in the tile: each of the three has at most m roundings, and
  two follow: gamma(m + 2) (norm(q)^2 + norm(x)^2 + 2 norm(q) norm(x)), the same bound. Clamping at
  zero moves the result towards the truth.
- cosine: the query is scaled to unit length in float64 and rounded (1), the dot product has m, the
  sum of squares under the root m, of which the root leaves half, and the inverse norm, its product
  with the dot and the subtraction from 1 have 2 each at most, counting |1 - cos| <= 2: at most
  gamma(ceil(1.5 m) + 8), as the absolute products sum to at most the product of the norms. Rows
  whose squares sum to less than 2^-100 or more than 2^120 are first scaled by a power of two, so
  that what underflows, 2^-149 dim, times an inverse norm of at most 2^50, is lost in these 8.

Under l2 and ip underflow adds at most 2^-149 for each of at most 4 (dim + 8) operations. Where a
sum may overflow float32 there is no bound: +inf.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paradox.core.metric import Metric, check_metric

_UNIT = 2.0**-24
_TINY = 2.0**-149
_HUGE = float(np.finfo(np.float32).max) / 4
_SLACK = 1 + 1e-9  # the norms given, and this arithmetic, are themselves rounded in float64


def error_bound(
    dim: int,
    metric: Metric,
    query_norm: npt.ArrayLike,
    max_row_norm: npt.ArrayLike,
) -> npt.NDArray[np.float64]:
    """Return the greatest |float32 distance - true distance| that `top_k` can give.

    Args:
        dim: dimension of the vectors.
        metric: what is measured.
        query_norm: Euclidean norm of the query, float64 (`row_norms`), or an array of them.
        max_row_norm: greatest norm of the rows searched, broadcast against `query_norm`.

    Returns:
        The bound, absolute, in the metric's own unit (squared under l2), float64 of the broadcast
        shape; +inf where float32 may overflow or an argument is not finite. It holds for float32
        queries; int8 queries are exact up to the rounding of the result, and within it too.
    """
    check_metric(metric)
    query = np.asarray(query_norm, dtype=np.float64)
    row = np.asarray(max_row_norm, dtype=np.float64)
    depth = _depth(dim)
    with np.errstate(over="ignore", invalid="ignore"):
        if metric == "cosine":
            size = np.where(np.isfinite(query) & np.isfinite(row), 1.0, np.inf)
            relative = _gamma(depth + (depth + 1) // 2 + 8)
        elif metric == "ip":
            size = query * row
            relative = _gamma(depth)
        else:
            size = (query + row) ** 2
            relative = _gamma(depth + 2)
        bound = (relative * size + 4 * (dim + 8) * _TINY) * _SLACK
        return np.where(size < _HUGE, bound, np.inf)


def _depth(dim: int) -> int:
    tile = 1 + min(dim, 256) + -(-dim // 256)
    one_to_many = 1 + dim // 16 + 1 + 6
    return min(dim, max(tile, one_to_many))


def _gamma(m: int) -> float:
    return m * _UNIT / (1 - m * _UNIT)
