"""`paradox`: the command line. Commands print for people, or one JSON object with `--json`.

A module for each group of commands, plain functions; `paradox.printing` has what they print.
"""

from __future__ import annotations

from typing import Annotated

import typer

from paradox import __version__
from paradox.cli.benchmark import bench
from paradox.cli.doctor import doctor
from paradox.cli.ingestion import ingest
from paradox.cli.machine import down, up
from paradox.cli.search import query
from paradox.cli.upkeep import drop, restore, snapshot, status

__all__ = [
    "app",
    "bench",
    "doctor",
    "down",
    "drop",
    "ingest",
    "query",
    "restore",
    "snapshot",
    "status",
    "up",
]

app = typer.Typer(
    name="paradox",
    epilog="Ends with 0; 1 if it was not confirmed; 2 if the request is wrong; 3 if it may succeed "
    "when tried again; 4 if stored data are damaged; 130 if interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"paradox {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=_tell_version, is_eager=True
        ),
    ] = False,
) -> None:
    """A latent memory on Ray: vectors with their meaning, found again."""


for _command in (up, down, ingest, query, status, snapshot, restore, drop, bench, doctor):
    app.command()(_command)
