"""Speed against recall as pictures, made from the rows of a report.

Needs matplotlib (the extra `bench`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.curve import QPS, at_recall, front
from benchmarks.peers.contestant import library
from benchmarks.report import CURVE, Row, progress

Curves = dict[str, list[tuple[float, float]]]
"""Contestant to its points: recall, QPS."""
LEAST_RECALL = 0.80
_TICKS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_OURS = "#c1272d"
_MARKS_OF_OURS = "os^Dv<>P"
_COLOURS = tuple(f"C{number}" for number in (0, 1, 2, 4, 5, 6, 7, 8, 9))
"""Of the peers: matplotlib's, without its red."""
_NEAREST_TO_1 = 5e-4


def curves(rows: Iterable[Row]) -> dict[str, Curves]:
    """Return the curves of each set by its title, from the rows that tell of single points."""
    by_set: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
    for row in rows:
        title, _, setting = row.case.rpartition(": ")
        if title.endswith(CURVE):
            who = row.peer or setting.rpartition(", ")[2]
            points = by_set.setdefault(title.removesuffix(CURVE), {})
            points.setdefault((who, setting), {})[row.figure.partition("@")[0]] = row.value
    return {title: _grouped(points) for title, points in by_set.items()}


def _grouped(points: dict[tuple[str, str], dict[str, float]]) -> Curves:
    grouped: Curves = {}
    for (who, _), figures in points.items():
        grouped.setdefault(who, []).append((figures["recall"], figures[QPS]))
    return grouped


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw a picture for each set; return their paths, none where matplotlib is missing."""
    try:
        library("matplotlib").use("Agg")
        pyplot = library("matplotlib.pyplot")
    except ModuleNotFoundError:
        progress("no plots: matplotlib is not installed (pip install 'paradox[bench]')")
        return []
    peers = {row.peer for row in rows if row.peer is not None}
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for title, of_set in curves(rows).items():
        figure, axes = pyplot.subplots(figsize=(9, 5.5), layout="constrained")
        _draw_set(axes, title, of_set, peers)
        path = folder / f"{file_name(title)}.png"
        figure.savefig(path, dpi=120, metadata={"Software": None})
        pyplot.close(figure)
        paths.append(path)
    return paths


def file_name(title: str) -> str:
    """Return a title as the name of a file: `text 200,000 × 384` → `text-200000-384`."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace(",", "")).strip("-")


def _draw_set(axes: Any, title: str, of_set: Curves, peers: set[str]) -> None:
    """Draw the fronts of one set; the fastest at a recall of 0.95 first in the legend."""
    order = sorted(of_set, key=lambda who: -(at_recall(of_set[who], 0.95) or 0.0))
    marks = dict(zip((who for who in of_set if who not in peers), cycle(_MARKS_OF_OURS)))
    for number, who in enumerate(order):
        points = [point for point in front(of_set[who]) if point[0] >= LEAST_RECALL]
        if not points:
            continue
        recalls, speeds = zip(*points, strict=True)
        mine = who in marks
        axes.plot(
            _stretched(recalls),
            speeds,
            label=f"paradox {who}" if mine else who,
            color=_OURS if mine else _COLOURS[number % len(_COLOURS)],
            linestyle="-" if mine or number < len(_COLOURS) else "--",
            linewidth=2.2 if mine else 1.1,
            marker=marks.get(who, "."),
            markersize=5,
        )
    axes.set_yscale("log")
    axes.set_xticks(_stretched(_TICKS), [f"{tick:g}" for tick in _TICKS])
    axes.set_xlabel("recall")
    axes.set_ylabel("queries a second: one at a time, one thread")
    axes.set_title(title)
    axes.grid(visible=True, which="both", alpha=0.25)
    if order:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")


def _stretched(recalls: Iterable[float]) -> list[float]:
    """Return places on an axis where 0.9, 0.99 and 0.999 are equally far apart."""
    return [float(-np.log10(max(1 - recall, _NEAREST_TO_1))) for recall in recalls]
