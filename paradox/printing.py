"""What the command line prints: errors, progress, tables for people, JSON for programs.

Whatever comes from outside (payloads, names of files, messages) is printed as it is, never read as
markup, and cannot move the cursor or colour the terminal.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from paradox.core.errors import CallerError, CorruptionError, ParadoxError
from paradox.interruption import EXIT_CODE, interruptible

if TYPE_CHECKING:
    from paradox.cluster.collection import CollectionStats
    from paradox.core.types import Neighbors

_WHEN_STOPPED = "not waited for; the cluster may still finish what it has begun"
_MAX_VALUE_CHARACTERS = 300


def exit_code(error: ParadoxError) -> int:
    """Return 2 where the request is wrong, 4 where stored data are damaged, else 3: try again."""
    if isinstance(error, CorruptionError):
        return 4
    return 2 if isinstance(error, CallerError) else 3


@contextmanager
def reporting(as_json: bool, *, when_stopped: str = _WHEN_STOPPED) -> Iterator[None]:
    """Turn our errors, Ctrl-C and SIGTERM into a message and an exit code; warnings into one.

    Args:
        as_json: tell errors as the one JSON object.
        when_stopped: what becomes of the work when a signal ends it.
    """

    def stopping() -> None:
        if as_json:
            complain("Interrupted", when_stopped, as_json)
        else:
            _tell(f"stopping: {when_stopped}")

    try:
        with warnings.catch_warnings(), interruptible(stopping):
            warnings.showwarning = _show_warning
            yield
    except ParadoxError as error:
        complain(type(error).__name__, str(error), as_json)
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt as error:  # of no signal
        stopping()
        raise typer.Exit(EXIT_CODE) from error


def complain(error: str, message: str, as_json: bool) -> None:
    """Say what went wrong: on standard error, or as the one JSON object."""
    if as_json:
        print_json({"error": error, "message": message})
    else:
        _tell(f": {message}", red=error)


def end_with(failed: Mapping[str, ParadoxError], as_json: bool) -> None:
    """Say which collections failed, and end with the gravest of their exit codes; else return."""
    if not failed:
        return
    if not as_json:  # else they are told in the object already
        for error in failed.values():
            complain(type(error).__name__, str(error), as_json)
    raise typer.Exit(max(map(exit_code, failed.values())))


def told(failed: Mapping[str, ParadoxError]) -> dict[str, dict[str, str]]:
    """Return errors as JSON has them."""
    return {
        name: {"error": type(error).__name__, "message": str(error)}
        for name, error in failed.items()
    }


@contextmanager
def progress(
    doing: str, as_json: bool, *, total: int | None = None
) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal while something takes long; yield what advances it by one."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=as_json or not console.is_terminal,
    )
    with bar:
        task = bar.add_task(doing, total=total)
        yield lambda: bar.advance(task)


def say(figures: Mapping[str, Any], sentence: str, as_json: bool) -> None:
    """Print the figures as JSON, or the sentence."""
    if as_json:
        print_json(figures)
    else:
        print(printable(sentence))


def print_json(value: Any, **more: Any) -> None:
    """Print one JSON object, with more members if wanted."""
    encoded = msgspec.json.encode({**msgspec.to_builtins(value, enc_hook=_plain), **more})
    print(encoded.decode(), flush=True)


def as_answer(hits: Neighbors) -> dict[str, Any]:
    """Return what one query found, with payloads."""
    distance_of = dict(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))
    return {
        "hits": [
            {"id": record.id, "distance": distance_of[record.id], "payload": record.payload}
            for record in hits.records()
        ],
        "certified": hits.certified,
        "shards_touched": hits.shards_touched,
        "shards_missing": hits.shards_missing,
        "coverage": hits.coverage,
    }


def print_hits(hits: Neighbors, n_shards: int) -> None:
    """Print what one query found, and how many shards were asked for it."""
    answer = as_answer(hits)
    table = Table(show_lines=any(len(hit["payload"]) > 1 for hit in answer["hits"]))
    table.add_column("distance", justify="right")
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("payload", overflow="fold")
    for hit in answer["hits"]:
        table.add_row(f"{hit['distance']:.4f}", str(hit["id"]), _payload(hit["payload"]))
    if answer["hits"]:
        Console().print(table)
    else:
        print("nothing found")
    missing = hits.shards_missing
    print(f"{hits.shards_touched + len(missing)} of {n_shards} shards asked", end="")
    if missing:
        silent = ", ".join(map(str, missing))
        print(f"; PARTIAL: {silent} did not answer, {hits.coverage:.0%} of the records covered")
    else:
        print()


def print_stats(name: str, stats: CollectionStats) -> None:
    """Print a collection, with a line for each of its shards."""
    settings = stats.settings
    table = Table(title_justify="left", caption_justify="left")
    table.add_column("shard", justify="right")
    for heading in ("records", "share", "index", "memory MB", "disk MB", "last write"):
        table.add_column(heading, justify="left" if heading == "index" else "right")
    for number in range(settings.shards):
        engine = stats.shards.get(number)
        if engine is None:
            table.add_row(str(number), "does not answer", style="red")
            continue
        table.add_row(
            str(number),
            f"{engine.n_records:,}",
            f"{engine.n_records / max(stats.n_records, 1):.0%}",
            engine.index.backend,
            f"{engine.index.resident_bytes / 2**20:,.1f}",
            f"{engine.store.disk_bytes / 2**20:,.1f}",
            f"{engine.last_seq:,}",
        )
    made_by = f", encoder {settings.encoder}" if settings.encoder else ""
    title = f"{name}: {stats.n_records:,} x {settings.dim}, {settings.metric}{made_by}"
    console = Console()
    console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(table)
    where = f"{settings.partition} partition, {stats.storage}"
    console.print(Text(printable(where), style="dim"), soft_wrap=True)


def printable(text: str) -> str:
    """Return a text with what would steer a terminal replaced; line breaks and tabs stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def program(name: str) -> str:
    """Return a program of this environment as it can be typed here."""
    ours = Path(sys.executable).with_name(name)
    if shutil.which(name) == str(ours):
        return name
    return str(ours.relative_to(Path.cwd()) if ours.is_relative_to(Path.cwd()) else ours)


def _tell(message: str, *, red: str = "") -> None:
    text = Text.assemble((red, "red"), printable(message))
    Console(stderr=True).print(text, soft_wrap=True)


def _show_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    """Print a warning without the place in the program that gave it."""
    _tell(str(message))


def _payload(payload: Mapping[str, Any]) -> Table:
    """Return a payload as lines of name and value, long values cut."""
    lines = Table.grid(padding=(0, 2))
    for column, value in payload.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        if len(text) > _MAX_VALUE_CHARACTERS:
            text = text[: _MAX_VALUE_CHARACTERS - 1] + "…"
        lines.add_row(Text(printable(column), style="dim"), Text(printable(text)))
    return lines


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
