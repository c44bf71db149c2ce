"""What `benchmarks.index` found, as rows: speeds at a recall, builds, promises, curves, goals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from benchmarks import goals, ours
from benchmarks.curve import P50, P99, QPS, Measured
from benchmarks.report import CURVE, Row, row


def rows(
    title: str, found: Mapping[str, Measured], *, recalls: Sequence[float], k: int
) -> Iterator[Row]:
    """Yield the rows of one set.

    Args:
        title: the set, its size, the metric and k.
        found: contestant to what was measured of it.
        recalls: that the speeds are read off at; where one is not reached, there is no row.
        k: neighbours asked for.
    """
    for recall in recalls:
        for by, measured in found.items():
            yield from _at_recall(title, by, measured, recall)
    for by, measured in found.items():
        yield entry(f"{title} once built", by, "build s", measured.build_s)
        yield entry(f"{title} once built", by, "bytes/vector", measured.bytes_per_vector)
        if measured.mapped_per_vector:
            yield entry(f"{title} once built", by, "mapped", measured.mapped_per_vector)
        if measured.best_recall is not None:
            yield entry(f"{title} once built", by, f"best recall@{k}", measured.best_recall)
    for by, measured in found.items():
        yield from _kept(title, by, measured, k)
    yield from goals.rows(title, found)
    for by, measured in found.items():
        for point in measured.points:
            setting = f"effort {point.effort}" + f", depth {point.depth}" * (point.depth > 1)
            yield entry(title + CURVE, by, f"recall@{k}", point.recall, setting)
            for figure, value in point.figures.items():
                yield entry(title + CURVE, by, figure, value, setting)


def skipped(title: str, reasons: Mapping[str, str]) -> Iterator[Row]:
    """Yield a row for each contestant that could not be measured, which says why."""
    for by, reason in reasons.items():
        yield entry(f"{title} left out", by, "runs", 0, reason.replace(": ", ", "), target=1)


def entry(
    title: str,
    by: str,
    figure: str,
    value: float,
    what: str = "",
    *,
    target: float | None = None,
    better: Literal["more", "less"] = "more",
) -> Row:
    """Return a row of a contestant; of ours the case ends with which it is, and has the target."""
    if by in ours.BACKENDS or by in ours.ENGINES:
        case = f"{title}: {', '.join(filter(None, (what, by)))}"
        return row(case, figure, value, target=target, better=better)
    return row(f"{title}: {what}", figure, value, peer=by)


def _at_recall(title: str, by: str, measured: Measured, recall: float) -> Iterator[Row]:
    """Yield a contestant's figures at a recall, if it reaches it."""
    figures = dict.fromkeys(name for point in measured.points for name in point.figures)
    for figure in figures:
        value = measured.at(figure, recall)
        if value is not None:
            yield entry(f"{title} at recall {recall:g}", by, figure, value)


def _kept(title: str, by: str, measured: Measured, k: int) -> Iterator[Row]:
    """Yield what came of asking for a recall: reached, which is a goal, and at what speed."""
    for kept in measured.kept:
        case = f"{title} asked for a recall: of {kept.asked:g}, {by}"
        yield row(case, f"recall@{k}", kept.reached, target=kept.asked)
        if kept.effort is not None:
            yield row(case, "effort", kept.effort)
        for figure in (QPS, P50, P99):
            yield row(case, figure, kept.figures[figure])
