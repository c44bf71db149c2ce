"""What our indexes are to reach beside their peers, in one run.

Ratios, because they hold from machine to machine; of the lists, figures of their own too. A peer
that cannot run here is not among them, and a goal whose sides were not both measured has no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter

from benchmarks import ours, peers
from benchmarks.curve import P50, QPS, Measured, batched
from benchmarks.report import Row, row

GRAPH, COMPACT, WITHOUT_ROWS = "graph", "graph-none-compact", "graph-none"
SVS = "svs-lvq4x8"
TEXT, OTHER = 1.25, 1.1
HIGH_RECALL = 0.997
LISTS, MANY = "ivf-mapped", 10_000_000
FAISS_LISTS = ("faiss-ivfpq", "faiss-ivfpq-hnsw")
"""What the lists are held against: the better of them that were measured."""


def rows(title: str, found: Mapping[str, Measured]) -> Iterator[Row]:
    """Yield each goal whose both sides were measured.

    Args:
        title: the set and its size; a set named `text-…` has the higher goals.
        found: contestant to what was measured of it.
    """
    goals = f"{title} goals"
    others = {by: one for by, one in found.items() if by in peers.APPROXIMATE}
    fast = found.get(GRAPH)
    is_text = title.startswith("text-")
    if fast is not None:
        for recall, target in ((0.95, TEXT if is_text else OTHER), (0.99, OTHER)):
            yield from _speed(goals, GRAPH, fast, others, recall, target)
        for peer, target in (("hnswlib", 5.0), ("symphonyqg", 2.5)):
            yield from _ratio(goals, "build", peer, GRAPH, found, attrgetter("build_s"), target)
    if is_text:
        size = attrgetter("bytes_per_vector")
        # One with its rows beside one without, as the goal was set; then both without.
        for peer, least in (("symphonyqg", 1 / 0.65), ("symphonyqg-8bit", None)):
            yield from _ratio(goals, "bytes", peer, WITHOUT_ROWS, found, size, least)
    if COMPACT in found and SVS in others and "× 384 " in title:
        yield from _compact(goals, found[COMPACT], others[SVS])
    if title.startswith("text-minilm-384 "):
        yield from _high_recall(goals, found, others)
    if LISTS in found and f" {MANY:,} × 128 " in title:
        faiss = {by: others[by] for by in FAISS_LISTS if by in others}
        yield from _many(goals, found[LISTS], faiss)


def best_of(name: str, n_measured: int, what: str = "peer") -> str:
    """Return a peer's name and of how many measured it is the best, for the case of a row."""
    those = f"the best of {n_measured} {what}s" if n_measured > 1 else f"the only {what}"
    return f"{name}, {those}"


def _speed(
    goals: str,
    own: str,
    mine: Measured,
    others: Mapping[str, Measured],
    recall: float,
    target: float,
    *,
    what: str = "peer",
) -> Iterator[Row]:
    """Yield the speed of one of ours in that of the best peer, if any reaches the recall."""
    best = _best(others, recall)
    if best is not None:
        name, speed = best
        ratio = (mine.at(QPS, recall) or 0.0) / speed
        case = f"{goals}: QPS at {recall:g}, {own} ÷ {best_of(name, len(others), what)}"
        yield row(case, "times", ratio, target=target)


def _best(
    measured: Mapping[str, Measured], recall: float, figure: str = QPS
) -> tuple[str, float] | None:
    """Return the fastest at a recall, and its QPS."""
    speeds = {by: speed for by, one in measured.items() if (speed := one.at(figure, recall))}
    return max(speeds.items(), key=lambda item: item[1], default=None)


def _ratio(
    goals: str,
    what: str,
    peer: str,
    own: str,
    found: Mapping[str, Measured],
    cost: Callable[[Measured], float],
    target: float | None,
) -> Iterator[Row]:
    """Yield how many times a peer's cost is that of one of ours."""
    if peer in found and own in found:
        times = cost(found[peer]) / cost(found[own])
        yield row(f"{goals}: {what}, {peer} ÷ {own}", "times", times, target=target)


def _compact(goals: str, compact: Measured, svs: Measured) -> Iterator[Row]:
    """Yield the goals of the compact form: no more bytes than Intel's, and faster."""
    size = svs.bytes_per_vector / compact.bytes_per_vector
    yield row(f"{goals}: bytes, {SVS} ÷ {COMPACT}", "times", size, target=1.0)
    speed = svs.at(QPS, 0.95)
    if speed is not None:
        ratio = (compact.at(QPS, 0.95) or 0.0) / speed
        yield row(f"{goals}: QPS at 0.95, {COMPACT} ÷ {SVS}", "times", ratio, target=1.2)


def _high_recall(
    goals: str, found: Mapping[str, Measured], others: Mapping[str, Measured]
) -> Iterator[Row]:
    """Yield the goals at a recall where scans of codes pass graphs."""
    own = {by: one for by, one in found.items() if by in ours.BACKENDS}
    for figure in (QPS, batched(100, 1)):  # a scan shares what it reads among a batch
        mine = _best(own, HIGH_RECALL, figure)
        for peer, target in (("turbovec", 1.3), ("hnswlib", 4.0)):
            theirs = others[peer].at(figure, HIGH_RECALL) if peer in others else None
            if mine is not None and theirs is not None:
                name, speed = mine
                case = f"{goals}: {figure}, at {HIGH_RECALL}, {name} ÷ {peer}"
                yield row(case, "times", speed / theirs, target=target)


def _many(goals: str, lists: Measured, faiss: Mapping[str, Measured]) -> Iterator[Row]:
    """Yield the goals of the lists at ten million vectors."""
    rate = MANY / lists.build_s
    yield row(f"{goals}: build, {LISTS}", "vectors/s", rate, target=100_000)
    size = lists.bytes_per_vector
    yield row(f"{goals}: memory, {LISTS}", "bytes/vector", size, target=40, better="less")
    wait = lists.at(P50, 0.95)
    if wait is not None:
        yield row(f"{goals}: at recall 0.95, {LISTS}", P50, wait, target=1_000, better="less")
    yield from _speed(goals, LISTS, lists, faiss, 0.95, 2, what="faiss peer")
