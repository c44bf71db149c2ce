"""The page of results: every full run that is kept in `docs/results/`, as tables and pictures.

    python -m benchmarks.page [docs/results/*.json] [--output docs/benchmarks.md]

The pictures need matplotlib (the extra `bench`).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks.plots import curves, draw, file_name
from benchmarks.report import RESULTS, FigureTable, Report, as_tables, progress, read

PAGE = RESULTS.parent / "benchmarks.md"
_SET = re.compile(r"\S+ [\d,]+ × \d+")
_OPENING = """# Benchmarks

Each table is from one run on one machine, told below it; the recall is beside every speed.
Libraries run in processes of their own, in turn. `paradox` are our own indexes, which of them the
case tells: `graph-none` keeps no vectors but 8-bit ones, `graph-none-compact` no codes of edges
either. ✓ and ✗ tell whether a goal is met, and the goal follows. The peers' graphs have 32 edges a
node and look at 200 candidates while they are built (hnswlib: M=16, ef_construction=200), ours has
32 edges and a build_effort of 80; all other settings of the peers, with why, are in
`benchmarks/peers/`. A curve is climbed until four more efforts brought nothing or a query took 10
ms; each point is measured several times, minutes apart, and has the best of its speeds and median
times and the median of its p99. What came of asking for a recall is measured once, and its speeds
vary as the machine does. `QPS` are the queries of a pass by the sum of the median time of each of
its calls, so that a rare slow call does not count. Speeds and times at a recall are each read off a
front of the points, the least effort's where that passes the recall. `the best of n peers` says how
many were measured. `engine:auto` builds on one thread, all others on as many as are told.
`bytes/vector` are of the process, `mapped` those of files that searches read too.

Made by `python -m benchmarks.page` from the reports in `docs/results/`. How to measure: the README.
"""


def page(reports: Iterable[Report]) -> str:
    """Return the reports as Markdown, in the order given."""
    reports = list(reports)
    drawn = {title: report for report in reports for title in curves(report.rows)}  # the last of it
    return "\n".join((_OPENING, *(line for report in reports for line in _lines(report, drawn))))


def _lines(report: Report, drawn: Mapping[str, Report]) -> Iterator[str]:
    yield f"## {_heading(report)}\n"
    for title in curves(report.rows):
        if drawn[title] is report:
            yield f"![speed against recall: {title}](plots/{file_name(title)}.png)\n"
    for table in as_tables(report.rows):
        yield from _table(table)
    yield f"{report.circumstances()}\n"


def _heading(report: Report) -> str:
    """Return which sets were measured by what, where and when."""
    sets = dict.fromkeys(m[0] for r in report.rows if (m := _SET.match(r.case)))
    machine = f"{report.machine['cpu']}, {report.machine['isa']}"
    return f"`{report.benchmark}`: {'; '.join(sets)} ({machine}, {report.started[:10]})"


def _table(table: FigureTable) -> Iterator[str]:
    if table.title:
        yield f"{table.title}\n"
    columns = ("case", "by", *table.figures)
    yield f"| {' | '.join(columns)} |"
    yield f"| --- | --- |{' ---: |' * len(table.figures)}"
    for line in table.lines:
        yield f"| {' | '.join(line)} |"
    yield ""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="the page of results")
    parser.add_argument("reports", type=Path, nargs="*", default=sorted(RESULTS.glob("*.json")))
    parser.add_argument("--output", type=Path, default=PAGE)
    given = parser.parse_args()
    reports = [read(path) for path in given.reports]
    given.output.write_text(page(reports))
    progress(f"{given.output}")
    for report in reports:
        for path in draw(report.rows, given.output.parent / "plots"):
            progress(f"{path}")


if __name__ == "__main__":
    main()
