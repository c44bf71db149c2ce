"""The face that every benchmark has: its options, its rows, its table, its file of results."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks import native
from benchmarks.journal import Journal, OtherRun, RunKey
from paradox import kernels

RESULTS = Path(__file__).parent.parent / "docs" / "results"
CURVE = " curve"
"""Ends the title of rows that are the points of a curve: kept, and drawn, but not printed."""
_OF_NO_MATTER = ("json", "output", "resume")
"""Options that say what becomes of a report."""
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
        better: whether more than the target is, or less; None without one.
    """

    case: str
    figure: str
    value: float
    peer: str | None = None
    target: float | None = None
    holds: bool | None = None
    better: str | None = None


def row(
    case: str,
    figure: str,
    value: float,
    *,
    peer: str | None = None,
    target: float | None = None,
    better: Literal["more", "less"] = "more",
) -> Row:
    """Return a row, having compared its value with its target; both may be NumPy's."""
    if target is None:
        return Row(case, figure, float(value), peer)
    holds = bool(value >= target if better == "more" else value <= target)
    return Row(case, figure, float(value), peer, float(target), holds, better)


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
    options: str = ""

    def as_json(self) -> str:
        """Return the report as one JSON object."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def publish(self, *, as_json: bool, output: Path | None = None) -> None:
        """Print the report; write it to `output`, a full run to `docs/results` if that is None."""
        output = file_of(self.benchmark, output, quick=self.quick)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(self.as_json() + "\n")
        if as_json:
            print(self.as_json())
        else:
            self.print(Console())

    def print(self, console: Console) -> None:
        """Print the tables, and what the figures depend on."""
        for found in as_tables(self.rows):
            table = Table(title=found.title or self.benchmark, title_justify="left")
            table.add_column("case")
            table.add_column("by", no_wrap=True)
            for figure in found.figures:
                table.add_column(figure, justify="right")
            for line in found.lines:
                table.add_row(*line)
            console.print(table)
        if self.quick:
            console.print("a quick run, of small sets: goals are those of full runs", style="dim")
        console.print(self.circumstances(), style="dim")

    def circumstances(self) -> str:
        """Return what the figures depend on, in one line."""
        machine = " · ".join(f"{name} {value}" for name, value in self.machine.items())
        return f"{machine} · commit {self.commit} · {self.options or f'--seed {self.seed}'}"


def read(path: Path) -> Report:
    """Return a report that was kept."""
    fields = json.loads(path.read_text())
    return Report(**fields | {"rows": tuple(Row(**row) for row in fields["rows"])})


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
        parser.add_argument(
            "--resume", action="store_true", help="go on with this run where it was interrupted"
        )
        self.add_options(parser)
        return parser.parse_args(arguments)

    def run(self, given: argparse.Namespace) -> Report:
        """Measure, and return what was found.

        Contestants measured are kept beside the report that is to come until all are: `--resume`
        measures the others.

        Raises:
            OtherRun: told to resume what is kept of a run with other options, of another commit or
                on another processor.
        """
        here = machine(given.threads)
        output = file_of(self.name, given.output, quick=given.quick)
        journal = Journal(
            None if output is None else output.with_suffix(".partial"),
            RunKey(_told(given), commit(), native.cpu_model(), _circumstances(here)),
            datetime.now(UTC).isoformat(timespec="seconds"),
            resume=given.resume,
        )
        rows = tuple(self.measure(argparse.Namespace(**vars(given), journal=journal)))
        report = Report(
            self.name,
            here,
            journal.run.commit,
            given.seed,
            given.quick,
            journal.started,
            rows,
            _as_told(given),
        )
        journal.remove()
        return report

    def main(self, arguments: Sequence[str] | None = None) -> Report:
        """Measure as the command line says; print the report, and keep that of a full run."""
        given = self.options(arguments)
        try:
            report = self.run(given)
        except OtherRun as error:
            sys.exit(f"python -m benchmarks.{self.name}: --resume: {error}")
        report.publish(as_json=given.json, output=given.output)
        return report


@dataclass(frozen=True, slots=True)
class FigureTable:
    """The rows of one part before the colon of a case, libraries side by side.

    Attributes:
        title: that part.
        figures: what the columns after the first two are.
        lines: case, library, and a cell for each figure, empty where it was not measured.
    """

    title: str
    figures: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def as_tables(rows: Iterable[Row]) -> Iterator[FigureTable]:
    """Yield the tables that rows make; the points of a curve are not among them."""
    by_title: dict[str, dict[tuple[str, str], dict[str, Row]]] = {}
    for r in rows:
        title, _, what = r.case.rpartition(": ")
        if not title.endswith(CURVE):
            line = by_title.setdefault(title, {}).setdefault((what, r.peer or "paradox"), {})
            line[r.figure] = r
    for title, lines in by_title.items():
        figures = tuple(dict.fromkeys(figure for cells in lines.values() for figure in cells))
        order = list(dict.fromkeys(what for what, _ in lines))
        in_order = sorted(lines.items(), key=lambda line: order.index(line[0][0]))
        yield FigureTable(
            title,
            figures,
            tuple(
                (what, by, *(_cell(cells[f]) if f in cells else "" for f in figures))
                for (what, by), cells in in_order
            ),
        )


def file_of(name: str, output: Path | None, *, quick: bool) -> Path | None:
    """Return where a report goes: not told, that of a full run to `docs/results`, else nowhere."""
    return RESULTS / f"{name}.json" if output is None and not quick else output


def progress(message: str) -> None:
    """Say on standard error what is being measured."""
    Console(stderr=True).print(message, style="dim")


def machine(threads: int) -> dict[str, str | int | float]:
    """Return what figures depend on: processor, instruction set, threads, load, versions."""
    versions: dict[str, str | int | float] = {}
    for library in _LIBRARIES:
        try:
            versions[library] = native.version(library)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": native.cpu_model(),
        "isa": kernels.isa(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load_1min": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **versions,
    }


def commit() -> str:
    """Return the commit of this checkout, "" outside git; `-dirty` if files differ from it.

    Those below `docs/` do not count: runs write their reports and pictures there.
    """
    try:
        described = _git("describe", "--always")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{described}-dirty" if changed else described


def _git(*arguments: str) -> str:
    """Return what git says of this checkout; it leaves all as it is."""
    command = ["git", "--no-optional-locks", "-C", str(RESULTS.parent.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _told(given: argparse.Namespace) -> str:
    """Return the options that make a difference to what is measured."""
    return json.dumps(_that_matter(given), sort_keys=True, default=str)


def _as_told(given: argparse.Namespace) -> str:
    """Return the options as the command line has them, those not given left out."""
    words: list[str] = []
    for name, value in _that_matter(given).items():
        if value is None or value is False:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        words += [f"--{name}", *(str(one) for one in values if one is not True)]
    return " ".join(words)


def _that_matter(given: argparse.Namespace) -> dict[str, object]:
    return {name: value for name, value in vars(given).items() if name not in _OF_NO_MATTER}


def _circumstances(here: dict[str, str | int | float]) -> str:
    """Return what two runs on one machine share, and what its processor can do."""
    lasting = {name: value for name, value in here.items() if name != "load_1min"}
    return json.dumps([lasting, native.processor()])


def _cell(r: Row) -> str:
    text = _number(r.value)
    if r.holds is None or r.target is None:
        return text
    side = "≤" if r.better == "less" else "≥"
    return f"{text} {'✓' if r.holds else '✗'} {side} {_number(r.target)}"


def _number(value: float) -> str:
    small = abs(value) < 10 and value != round(value)
    return f"{value:,.4g}" if small else f"{value:,.0f}"
