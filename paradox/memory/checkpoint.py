"""Checkpoints of what is derived: the index and the payload columns, with the seq they reflect."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from paradox import index as indexes
from paradox.core.errors import CorruptionError, IndexFileCorrupt, StorageUnavailable
from paradox.core.files import sync_folder
from paradox.index import AllowList, IndexBackend
from paradox.index.container import read_container, write_container
from paradox.store import PayloadFrame, Schema

_LOG = logging.getLogger(__name__)
_KEPT = 2
_KEPT_FILTERS = 8
_INDEX, _PAYLOAD = "index.pdx", "payload.pdx"
_NAME, _UNFINISHED = 20 * "[0-9]", ".tmp"  # whatever else lies there is not ours


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
    """Write a checkpoint below `folder`, then remove all older ones but the newest."""
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
    target = folder / f"{derived.seq:020d}"
    if target.exists():
        return
    unfinished = folder / f"{target.name}{_UNFINISHED}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        derived.index.save(unfinished / _INDEX)
        write_container(
            unfinished / _PAYLOAD,
            "payload",
            {"seq": derived.seq},
            {"frame": derived.payload.dump()},
        )
        sync_folder(unfinished)
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_folder(folder)
    older = [path for path in _newest_first(folder) if path.name < target.name]
    for old in older[_KEPT - 1 :]:
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
            if header["seq"] != int(path.name):
                raise IndexFileCorrupt(f"it is of seq {header['seq']}", path)
            return Derived(index, payload, header["seq"])
        except (CorruptionError, OSError) as error:
            _LOG.warning("a checkpoint is left out, what it held is made again: %s", error)
            if isinstance(error, CorruptionError | FileNotFoundError):
                shutil.rmtree(path, ignore_errors=True)
    return None


def remove(folder: Path, *, after_seq: int = -1) -> None:
    """Remove the checkpoints of writes after a seq; by default all.

    Raises:
        StorageUnavailable: the disk refuses: once there are such writes again, of other records,
            what stayed would be taken for theirs.
    """
    beyond = [path for path in _newest_first(folder) if int(path.name) > after_seq]
    try:
        for path in beyond:
            shutil.rmtree(path)
        if beyond:
            sync_folder(folder)
    except OSError as error:
        raise StorageUnavailable(f"checkpoints below {folder}: {error}") from error


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that died while it saved has left; nobody may be saving."""
    for path in folder.glob(_NAME + _UNFINISHED):
        shutil.rmtree(path, ignore_errors=True)


def oldest_seq(folder: Path) -> int:
    """Return the seq of the oldest checkpoint kept, 0 where there is none."""
    return min((int(path.name) for path in _newest_first(folder)), default=0)


def link_newest(folder: Path, target: Path) -> None:
    """Hard-link the newest checkpoint below `folder` into a new folder `target`."""
    newest = next(_newest_first(folder))
    shutil.copytree(newest, target / newest.name, copy_function=os.link)


def _newest_first(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob(_NAME), reverse=True)
