"""Speed against recall: the curve of a contestant, and its speed at a recall.

Between two points of the curve the logarithm of a speed is taken to fall in a straight line over
recall, as it does over most of a graph's range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean, median

import numpy as np

from benchmarks.timing import Timing

QPS = "QPS"
P50, P99, CPU = "p50 µs", "p99 µs", "CPU µs"


@dataclass(frozen=True, slots=True)
class Point:
    """A setting of a contestant's knobs, and what it gave.

    Attributes:
        effort: first knob; 0 where there is none.
        depth: second knob; 1 where there is none.
        recall: on the queries held out.
        figures: name to value: speeds, which begin with `QPS`, and times.
    """

    effort: int
    depth: int
    recall: float
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of asking for a recall and nothing else.

    Attributes:
        asked: the recall.
        reached: the recall on the queries held out.
        effort: what it took; None where nothing is told of it.
        figures: as those of a `Point`.
    """

    asked: float
    reached: float
    effort: int | None
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was found of one contestant on one set.

    Attributes:
        build_s: seconds to index the base.
        bytes_per_vector: memory held beyond what was held before, by vector.
        points: of the curve, in the order measured.
        kept: one for each recall asked, of contestants that can be asked.
        mapped_per_vector: bytes of files that searches read too, which the system may drop.
    """

    build_s: float
    bytes_per_vector: float
    points: tuple[Point, ...] = ()
    kept: tuple[Kept, ...] = ()
    mapped_per_vector: float = 0.0

    @property
    def best_recall(self) -> float | None:
        """The highest recall of any point."""
        return max((point.recall for point in self.points), default=None)

    def at(self, figure: str, recall: float) -> float | None:
        """Return a figure at a recall; None where the recall is not reached."""
        known = [(p.recall, p.figures[figure]) for p in self.points if figure in p.figures]
        return at_recall(known, recall, figure)


def batched(size: int, threads: int) -> str:
    """Return the name of the speed of batches."""
    return f"{QPS}, {size} at a time, {threads} thread{'s' * (threads > 1)}"


def figures_of(timing: Timing) -> dict[str, float]:
    """Return the speed and the times of single queries by their names."""
    return {
        QPS: timing.queries_per_s,
        P50: timing.p50_us,
        P99: timing.p99_us,
        CPU: timing.cpu_us,
    }


def at_recall(
    curve: Sequence[tuple[float, float]], recall: float, figure: str = QPS
) -> float | None:
    """Return a figure at a recall, between the two points of the front around it.

    Below the recalls that were measured it is that of the fastest point, which does better than
    asked.

    Args:
        curve: (recall, figure) of each point, in any order.
        recall: to be reached.
        figure: more is better of one that begins with `QPS`, less of any other.
    """
    best = front(curve, figure)
    if not best or best[-1][0] < recall:
        return None
    if recall <= best[0][0]:
        return best[0][1]
    for (low, before), (high, after) in pairwise(best):
        if recall <= high:
            share = (recall - low) / (high - low)
            return float(np.exp((1 - share) * np.log(before) + share * np.log(after)))
    raise AssertionError("a recall between two points lies in one of the steps between them")


def front(curve: Sequence[tuple[float, float]], figure: str = QPS) -> list[tuple[float, float]]:
    """Return the points that no other beats in both recall and figure, by rising recall."""
    sign = 1 if figure.startswith(QPS) else -1
    kept: list[tuple[float, float]] = []
    for recall, value in sorted(curve, key=lambda point: (-point[0], -sign * point[1])):
        if not kept or sign * value > sign * kept[-1][1]:
            kept.append((recall, value))
    return kept[::-1]


def combined(runs: Sequence[Measured]) -> Measured:
    """Return the median of several runs, point by point; recalls are averaged.

    A setting that not every run came to is taken from those that did; what a recall asked for
    took is that of the first run.
    """
    by_setting: dict[tuple[int, int], list[Point]] = {}
    for run in runs:
        for point in run.points:
            by_setting.setdefault((point.effort, point.depth), []).append(point)
    points = tuple(
        Point(
            effort,
            depth,
            fmean(point.recall for point in same),
            _medians([point.figures for point in same]),
        )
        for (effort, depth), same in by_setting.items()
    )
    kept = tuple(
        Kept(
            same[0].asked,
            fmean(one.reached for one in same),
            same[0].effort,
            _medians([one.figures for one in same]),
        )
        for same in zip(*(run.kept for run in runs), strict=True)
    )
    build_s = median(run.build_s for run in runs)
    held = median(run.bytes_per_vector for run in runs)
    return Measured(build_s, held, points, kept, runs[0].mapped_per_vector)


def fastest(points: Sequence[Point]) -> Point:
    """Return a setting measured several times with the best of its speeds and usual times.

    What else runs on a machine only ever slows a library down, and for longer than a point takes.
    Of the 99th percentiles it is the median: the best of several is no 99th percentile.
    """
    best = {name: _kept(name)(p.figures[name] for p in points) for name in points[0].figures}
    return replace(points[0], figures=best)


def _kept(figure: str) -> Callable[[Iterable[float]], float]:
    """Return which of several values of a figure is kept."""
    if figure == P99:
        return median
    return max if figure.startswith(QPS) else min


def spread(runs: Sequence[Measured], recall: float) -> float | None:
    """Return how far the runs lie apart in QPS at a recall, as a share of the median."""
    speeds = [speed for run in runs if (speed := run.at(QPS, recall)) is not None]
    return (max(speeds) - min(speeds)) / median(speeds) if speeds else None


def _medians(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in figures) for name in figures[0]}
