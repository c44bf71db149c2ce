"""The least effort that reaches a recall, at which a speed is then measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers.contestant import Adjustable


@dataclass(frozen=True, slots=True)
class Reached:
    """An effort, and the recall it gave."""

    effort: int
    recall: float


def least_effort(
    contestant: Adjustable, k: int, wanted: float, recall: Callable[[], float], *, patience_s: float
) -> Reached:
    """Leave a contestant at the least effort that reaches a recall, or at the best one tried.

    Args:
        contestant: whose efforts are tried, least first.
        k: neighbours asked for.
        wanted: the recall.
        recall: measures the contestant as it is set.
        patience_s: once measuring took longer, no more effort is tried.
    """
    best = Reached(0, -1.0)
    for effort in contestant.efforts(k):
        contestant.effort = effort
        start = time.perf_counter()
        found = Reached(effort, recall())
        if found.recall > best.recall:
            best = found
        if found.recall >= wanted or time.perf_counter() - start > patience_s:
            break
    contestant.effort = best.effort
    return best
