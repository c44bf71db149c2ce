"""The three metrics and what their distances mean.

Distances are "smaller is closer" everywhere:

| metric   | distance of q and x                              | range      |
| -------- | ------------------------------------------------ | ---------- |
| `l2`     | squared Euclidean distance, sum((q - x)^2)       | [0, inf)   |
| `ip`     | negated inner product, -dot(q, x)                | (-inf, inf)|
| `cosine` | 1 - dot(q, x) / (norm(q) * norm(x))              | [0, 2]     |

Squared distances are what faiss and hnswlib return, so figures compare without conversion.
"""

from __future__ import annotations

from typing import Literal, get_args

from paradox.core.errors import InvalidArgument

Metric = Literal["l2", "ip", "cosine"]

METRICS: tuple[Metric, ...] = get_args(Metric)


def check_metric(metric: str) -> Metric:
    """Return `metric` if it is one of `METRICS`.

    Raises:
        InvalidArgument: it is not.
    """
    if metric not in METRICS:
        raise InvalidArgument(f"metric: expected one of {', '.join(METRICS)}; got {metric!r}")
    return metric
