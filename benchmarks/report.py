"""The face that every benchmark has: its options, its rows, its table, its file of results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from paradox import kernels

RESULTS = Path(__file__).parent.parent / "docs" / "results"
CURVE = " curve"
"""Ends the title of rows that are the points of a curve: kept, and drawn, but not printed."""
_LIBRARIES = (
    "numpy",
    "ray",
    "faiss-cpu",
    "hnswlib",
    "pyglass-portable",
    "pyvsag",
    "rabitqlib",
    "scalable-vs",
    "scann",
    "torch",
    "turbovec",
    "usearch",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        case: what was measured: data set, n, dim, metric, and after a colon what differs between
            the cases on it: backend, queries at a time, threads.
        figure: what the value is, with its unit: `recall@10`, `QPS`, `p50 µs`.
        value: as measured.
        peer: the library that gave it; None is Paradox itself, as `case` says which part of it.
        target: what the value is to reach, where there is a goal.
        holds: whether it does; None without a target.
    """

    case: str
    figure: str
    value: float
    peer: str | None = None
    target: float | None = None
    holds: bool | None = None


def row(
    case: str,
    figure: str,
    value: float,
    *,
    peer: str | None = None,
    target: float | None = None,
    better: Literal["more", "less"] = "more",
) -> Row:
    """Return a row, having compared its value with its target."""
    holds = None
    if target is not None:
        holds = value >= target if better == "more" else value <= target
    return Row(case, figure, float(value), peer, target, holds)


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of a benchmark found, and where."""

    benchmark: str
    machine: dict[str, str | int | float]
    commit: str
    seed: int
    quick: bool
    started: str
    rows: tuple[Row, ...]

    def as_json(self) -> str:
        """Return the report as one JSON object."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def publish(self, *, as_json: bool, output: Path | None = None) -> None:
        """Print the report; write it to `output`, a full run to `docs/results` if that is None."""
        if output is None and not self.quick:
            output = RESULTS / f"{self.benchmark}.json"
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(self.as_json() + "\n")
        if as_json:
            print(self.as_json())
        else:
            self.print(Console())

    def print(self, console: Console) -> None:
        """Print a table for each part before the colon of a case, libraries side by side."""
        lines: dict[str, dict[tuple[str, str], dict[str, Row]]] = {}
        for r in self.rows:
            where, _, what = r.case.rpartition(": ")
            if where.endswith(CURVE):
                continue
            cells = lines.setdefault(where, {}).setdefault((what, r.peer or "paradox"), {})
            cells[r.figure] = r
        for where, cases in lines.items():
            figures = list(dict.fromkeys(figure for cells in cases.values() for figure in cells))
            order = list(dict.fromkeys(what for what, _ in cases))
            table = Table(title=where or self.benchmark, title_justify="left")
            table.add_column("case")
            table.add_column("by", no_wrap=True)
            for figure in figures:
                table.add_column(figure, justify="right")
            for (what, by), cells in sorted(
                cases.items(), key=lambda case: order.index(case[0][0])
            ):
                table.add_row(what, by, *(_cell(cells[f]) if f in cells else "" for f in figures))
            console.print(table)
        machine = " · ".join(f"{name} {value}" for name, value in self.machine.items())
        console.print(f"{machine} · commit {self.commit} · seed {self.seed}", style="dim")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark and its command line.

    Attributes:
        name: the module's name; a full run is kept as `docs/results/<name>.json`.
        about: one line for `--help`.
        measure: yields the rows; gets the options, `quick`, `seed` and `threads` among them.
        add_options: adds the benchmark's own to its parser.
    """

    name: str
    about: str
    measure: Callable[[argparse.Namespace], Iterable[Row]]
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None

    def options(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Return the options given on the command line, or in `arguments`."""
        program = f"python -m benchmarks.{self.name}"
        parser = argparse.ArgumentParser(prog=program, description=self.about)
        parser.add_argument("--quick", action="store_true", help="small, ends within a minute")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--threads", type=int, default=2, help="of builds and batches (2)")
        parser.add_argument("--output", type=Path, help="write the JSON there, quick or not")
        self.add_options(parser)
        return parser.parse_args(arguments)

    def run(self, given: argparse.Namespace) -> Report:
        """Measure, and return what was found."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        here = machine(given.threads)
        rows = tuple(self.measure(given))
        return Report(self.name, here, commit(), given.seed, given.quick, started, rows)

    def main(self, arguments: Sequence[str] | None = None) -> Report:
        """Measure as the command line says; print the report, and keep that of a full run."""
        given = self.options(arguments)
        report = self.run(given)
        report.publish(as_json=given.json, output=given.output)
        return report


def progress(message: str) -> None:
    """Say on standard error what is being measured."""
    Console(stderr=True).print(message, style="dim")


def machine(threads: int) -> dict[str, str | int | float]:
    """Return what figures depend on: processor, instruction set, threads, load, versions."""
    versions: dict[str, str | int | float] = {}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_model(),
        "isa": kernels.isa(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load_1min": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **versions,
    }


def commit() -> str:
    """Return the commit of this checkout, `-dirty` if files differ from it, "" outside git."""
    command = ["git", "-C", str(RESULTS.parent.parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _cpu_model() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cell(r: Row) -> str:
    small = abs(r.value) < 10 and r.value != round(r.value)
    text = f"{r.value:,.4f}" if small else f"{r.value:,.0f}"
    return text if r.holds is None else f"{text} {'✓' if r.holds else '✗'} {r.target:g}"
