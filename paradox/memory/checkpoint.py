"""Checkpoints of what is derived: the index and the payload columns, with the seq they reflect."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from paradox import index as indexes
from paradox.core.errors import CorruptionError
from paradox.core.files import sync_folder
from paradox.index import AllowList, IndexBackend
from paradox.index.container import read_container, write_container
from paradox.store import PayloadFrame, Schema

_LOG = logging.getLogger(__name__)
_KEPT = 2
_KEPT_FILTERS = 8
_INDEX, _PAYLOAD = "index.pdx", "payload.pdx"


@dataclass(frozen=True, slots=True)
class Derived:
    """What an engine keeps beside its records, and can always make again from them.

    Attributes:
        index: the vectors, searchable.
        payload: the payload columns, filterable.
        seq: the last write both reflect.
    """

    index: IndexBackend
    payload: PayloadFrame
    seq: int
    _filtered: dict[str, AllowList] = field(default_factory=dict, init=False, repr=False)

    def filtered(self, filter: str, schema: Schema) -> AllowList:
        """Return the ids that pass a filter; what the last few came to is kept.

        Raises:
            FilterError: it is not one boolean expression over declared columns.
        """
        known = self._filtered.get(filter)
        if known is None:
            known = AllowList(self.payload.select(filter, schema))
            if len(self._filtered) >= _KEPT_FILTERS:  # readers side by side may have passed it
                self._filtered.clear()
            self._filtered[filter] = known
        return known


def save(folder: Path, derived: Derived) -> None:
    """Write a checkpoint below `folder`, then remove all but the newest two."""
    folder.mkdir(exist_ok=True)
    target = folder / f"{derived.seq:020d}"
    if target.exists():
        return
    unfinished = folder / f"{target.name}.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    derived.index.save(unfinished / _INDEX)
    write_container(
        unfinished / _PAYLOAD, "payload", {"seq": derived.seq}, {"frame": derived.payload.dump()}
    )
    sync_folder(unfinished)
    unfinished.rename(target)
    sync_folder(folder)
    for old in list(_newest_first(folder))[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def load(folder: Path) -> Derived | None:
    """Return the newest checkpoint that is whole, or None.

    Warns of each damaged one, and removes it, so that the next takes its place.
    """
    for path in _newest_first(folder):
        try:
            index = indexes.load(path / _INDEX)
            header, sections = read_container(path / _PAYLOAD, "payload")
            payload = PayloadFrame.load(sections["frame"])
            return Derived(index, payload, int(header["seq"]))
        except (CorruptionError, OSError) as error:
            _LOG.warning("a checkpoint is left out, what it held is made again: %s", error)
            if isinstance(error, CorruptionError | FileNotFoundError):
                shutil.rmtree(path, ignore_errors=True)
    return None


def oldest_seq(folder: Path) -> int:
    """Return the seq of the oldest checkpoint kept, 0 where there is none."""
    return min((int(path.name) for path in _newest_first(folder)), default=0)


def link_newest(folder: Path, target: Path) -> None:
    """Hard-link the newest checkpoint below `folder` into a new folder `target`."""
    newest = next(_newest_first(folder))
    shutil.copytree(newest, target / newest.name, copy_function=os.link)


def _newest_first(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted((p for p in folder.iterdir() if p.name.isdecimal()), reverse=True)
