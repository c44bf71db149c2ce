"""What a run has measured so far: one that was interrupted goes on from there."""

from __future__ import annotations

import pickle
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RunKey:
    """What two runs must share for one to go on with the other.

    Attributes:
        options: of the command line, the seed among them.
        commit: of the checkout.
        cpu: the machine's processor.
        circumstances: what else figures depend on: what the processor can do, versions.
    """

    options: str
    commit: str
    cpu: str
    circumstances: str = field(default="", repr=False)


class OtherRun(Exception):
    """What is there to resume is of another run; the message says of which."""


class Journal:
    """A file of what was measured, a part at a time, removed once all parts are.

    Args:
        path: the file; None for what is not worth one.
        run: what the run is of.
        started: when it began, in ISO 8601.
        resume: go on with what the file holds, if that is the same run's.

    Raises:
        OtherRun: there is a file to resume, and it is not of this run; it is left as it is.
    """

    def __init__(self, path: Path | None, run: RunKey, started: str, *, resume: bool) -> None:
        self._path = path
        self.run = run
        self._parts: dict[Hashable, Any] = {}
        self.started = started
        kept = list(_entries(path)) if path is not None and resume else []
        if kept:
            other, self.started = kept[0]
            if other != run:
                raise OtherRun(f"expected {path} to be of {run}; got {other}")
            self._parts = dict(kept[1:])
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:  # without what was cut off
                for entry in [(run, self.started), *self._parts.items()]:
                    pickle.dump(entry, file)

    def __contains__(self, part: Hashable) -> bool:
        return part in self._parts

    def __getitem__(self, part: Hashable) -> Any:
        return self._parts[part]

    def keep(self, part: Hashable, measured: Any) -> None:
        """Add a part."""
        self._parts[part] = measured
        if self._path is not None:
            with self._path.open("ab") as file:
                pickle.dump((part, measured), file)

    def remove(self) -> None:
        """Forget it all."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _entries(path: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the entries that were written to their end."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)  # noqa: S301, as we wrote it
            except (EOFError, pickle.UnpicklingError):
                return
