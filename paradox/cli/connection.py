"""The cluster that a command joins, and the options most commands have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from paradox.cluster.names import check_collection_name
from paradox.core.errors import ParadoxError
from paradox.interruption import catch_signals
from paradox.printing import progress

if TYPE_CHECKING:
    from paradox.cluster.client import Client

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Address = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster to join, host:port. If not given: that of RAY_ADDRESS, else the one that "
        "`paradox up` or `ray start` started here, else one that ends with this command."
    ),
]


@contextmanager
def joined(address: str | None, name: str | None = None) -> Iterator[Client]:
    """Join the cluster at an address, or the one that `paradox.connect` finds or starts.

    Args:
        address: host:port, or None.
        name: of a collection that is asked for; refused at once if none may have it.
    """
    if name is not None:
        check_collection_name(name)
    from paradox.cluster.client import connect

    client = connect(address=address)
    catch_signals()
    try:
        yield client
    finally:
        if not isinstance(sys.exception(), KeyboardInterrupt):  # which ends all at once
            client.close()


def each(
    names: Iterable[str], ask: Callable[[str], T], doing: str, as_json: bool
) -> tuple[dict[str, T], dict[str, ParadoxError]]:
    """Ask for each collection; return the answers, and the errors of those that have none."""
    answers: dict[str, T] = {}
    failed: dict[str, ParadoxError] = {}
    names = list(names)
    with progress(f"{doing} collections", as_json, total=len(names)) as advance:
        for name in names:
            try:
                answers[name] = ask(name)
            except ParadoxError as error:
                failed[name] = error
            advance()
    return answers, failed
