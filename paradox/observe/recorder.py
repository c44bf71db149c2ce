"""Counters, gauges and histograms in memory: cheap to feed, bounded, safe from many threads."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

from paradox.core.errors import InvalidArgument
from paradox.observe.names import Kind, MetricName

_BUCKETS_A_DECADE = 20  # neighbouring bounds differ by 12 %, so a percentile is within 6 %

Labels: TypeAlias = tuple[str, ...]
Series: TypeAlias = tuple[str, Labels]
"""Name of a metric and the values of its labels, in the order the metric declares them."""


class Histogram:
    """Observations counted in buckets whose bounds grow by a constant factor.

    Its size does not depend on how much it has seen. Not safe from several threads by itself.

    Args:
        lowest: observations up to this share the first bucket.
        highest: observations above this share the last one.

    Attributes:
        count: observations.
        total: their sum.
        least: the smallest, +inf when there is none.
        greatest: the greatest, -inf when there is none.
        buckets: observations in each bucket.
    """

    __slots__ = ("buckets", "count", "greatest", "highest", "least", "lowest", "total")

    def __init__(self, lowest: float, highest: float) -> None:
        self.lowest = lowest
        self.highest = highest
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.greatest = -math.inf
        steps = math.ceil(math.log10(highest / lowest) * _BUCKETS_A_DECADE)
        self.buckets = [0] * (steps + 2)

    def observe(self, value: float) -> None:
        """Count one finite observation."""
        self.count += 1
        self.total += value
        if value < self.least:
            self.least = value
        if value > self.greatest:
            self.greatest = value
        if value <= self.lowest:
            bucket = 0
        elif value > self.highest:
            bucket = -1
        else:
            bucket = math.ceil(math.log10(value / self.lowest) * _BUCKETS_A_DECADE)
        self.buckets[bucket] += 1

    def add(self, other: Histogram) -> None:
        """Count the observations of another histogram of the same bounds as well.

        Raises:
            InvalidArgument: its bounds differ.
        """
        if (self.lowest, self.highest) != (other.lowest, other.highest):
            raise InvalidArgument(
                f"histogram: expected bounds {self.lowest:g} to {self.highest:g}; "
                f"got {other.lowest:g} to {other.highest:g}"
            )
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]

    def mean(self) -> float:
        """Return the mean observation, NaN when there is none."""
        return self.total / self.count if self.count else math.nan

    def percentile(self, percent: float) -> float:
        """Return the value that `percent` of the observations do not exceed.

        Within 6 % of it where it lies between the bounds; exact at 0 and 100; NaN when there is no
        observation.

        Args:
            percent: 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise InvalidArgument(f"percent: expected 0 to 100; got {percent}")
        if self.count == 0:
            return math.nan
        if percent in (0, 100):
            return self.greatest if percent else self.least
        wanted = self.count * percent / 100
        at_most = itertools.accumulate(self.buckets)
        bucket = next(number for number, seen in enumerate(at_most) if seen >= wanted)
        if bucket == len(self.buckets) - 1:
            return self.greatest
        middle = self.lowest * 10 ** ((bucket - 0.5) / _BUCKETS_A_DECADE)
        return min(max(middle, self.least), self.greatest)

    def copy(self) -> Histogram:
        """Return a histogram with the same observations."""
        twin = Histogram(self.lowest, self.highest)
        twin.add(self)
        return twin


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a recorder held at one moment; it shares nothing with the recorder.

    Attributes:
        counters: series to its sum so far.
        gauges: series to the value set last.
        histograms: series to its observations so far.
    """

    counters: dict[Series, float]
    gauges: dict[Series, float]
    histograms: dict[Series, Histogram]


class Recorder:
    """Keeps the values of metrics, by their labels.

    A series comes into being when it is first fed, and only then are the metric's kind and the
    number of labels checked.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: dict[Series, float] = {}
        self._gauges: dict[Series, float] = {}
        self._histograms: dict[Series, Histogram] = {}

    def count(self, metric: MetricName, labels: Labels = (), amount: float = 1) -> None:
        """Add `amount`, not negative, to a counter.

        Raises:
            InvalidArgument: not a counter, other labels than it declares, or a negative amount.
        """
        if amount < 0:
            raise InvalidArgument(f"{metric.name}: expected an amount of 0 or more; got {amount}")
        series = (metric.name, labels)
        with self._lock:
            if series not in self._counters:
                _check(metric, "counter", labels)
                self._counters[series] = 0
            self._counters[series] += amount

    def set(self, metric: MetricName, labels: Labels, value: float) -> None:
        """Set a gauge.

        Raises:
            InvalidArgument: not a gauge, or other labels than it declares.
        """
        series = (metric.name, labels)
        with self._lock:
            if series not in self._gauges:
                _check(metric, "gauge", labels)
            self._gauges[series] = value

    def observe(self, metric: MetricName, labels: Labels, value: float) -> None:
        """Add a finite observation to a histogram.

        Raises:
            InvalidArgument: not a histogram, or other labels than it declares.
        """
        series = (metric.name, labels)
        with self._lock:
            histogram = self._histograms.get(series)
            if histogram is None:
                _check(metric, "histogram", labels)
                histogram = self._histograms[series] = Histogram(metric.lowest, metric.highest)
            histogram.observe(value)

    def snapshot(self) -> Snapshot:
        """Return everything recorded so far, as of one moment."""
        with self._lock:
            return Snapshot(
                counters=dict(self._counters),
                gauges=dict(self._gauges),
                histograms={s: histogram.copy() for s, histogram in self._histograms.items()},
            )


def _check(metric: MetricName, kind: Kind, labels: Labels) -> None:
    if metric.kind != kind:
        raise InvalidArgument(f"{metric.name}: expected a {kind}; it is a {metric.kind}")
    if len(labels) != len(metric.labels):
        raise InvalidArgument(f"{metric.name}: expected the labels {metric.labels}; got {labels}")
