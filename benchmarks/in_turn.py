"""Contestants measured in turn; one that cannot be is left out, and the report says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from benchmarks import peers
from benchmarks.journal import Journal
from benchmarks.own_process import ProcessFailed
from benchmarks.report import progress

Result = TypeVar("Result")


def in_turn(
    names: Iterable[str],
    title: str,
    measured: Callable[[str], Result],
    journal: Journal,
    *,
    needed: Collection[str] = (),
) -> tuple[dict[str, Result], dict[str, str]]:
    """Return what was measured of each contestant, and why others were not.

    Args:
        names: of the contestants.
        title: what they are measured on, for those who wait.
        measured: measures one, in a process of its own.
        journal: keeps what was measured; what it has already is not measured again.
        needed: those without which the run is none.

    Raises:
        ProcessFailed: that of a contestant that is needed.
    """
    found: dict[str, Result] = {}
    failed: dict[str, str] = {}
    for by in names:
        part = (title, by)
        if part in journal:
            progress(f"{title}: {by} was measured before")
            found[by] = journal[part]
            continue
        progress(f"{title}: {by}")
        if reason := peers.missing(by):
            failed[by] = reason
            continue
        try:
            found[by] = measured(by)
        except ProcessFailed as error:
            if by in needed:
                raise
            failed[by] = str(error)
            progress(f"{title}: {by} is left out, {error}")
        else:
            journal.keep(part, found[by])
    return found, failed
