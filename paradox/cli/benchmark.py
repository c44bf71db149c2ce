"""`paradox bench`: a benchmark of a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from paradox.cli.connection import AsJson
from paradox.core.errors import InvalidArgument
from paradox.printing import reporting

NAMES = ("exact", "filters", "index", "overhead", "routing_sim", "updates")


def bench(
    name: Annotated[str, typer.Argument(help=f"{', '.join(NAMES[:-1])} or {NAMES[-1]}.")],
    quick: Annotated[
        bool, typer.Option(help="End within a minute, and leave docs/results/ as it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a benchmark beside its peers, from a checkout of the sources.

    A full run replaces docs/results/NAME.json.
    """
    with reporting(as_json):
        if name not in NAMES:
            raise InvalidArgument(f"bench: expected one of {', '.join(NAMES)}; got {name!r}")
        if not Path("benchmarks", f"{name}.py").is_file():
            raise InvalidArgument(
                f"bench: expected to run in a checkout of the sources; there is no "
                f"benchmarks/{name}.py here"
            )
        flags = [*(["--quick"] if quick else []), *(["--json"] if as_json else [])]
        command = [sys.executable, "-m", f"benchmarks.{name}", *flags]
        raise typer.Exit(subprocess.run(command, check=False).returncode)
