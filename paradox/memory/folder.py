"""An engine's folder: its settings, its records and its checkpoints.

engine.json     what the engine is made of (`settings.py`)
records/        the record store
checkpoints/    the index and the payload columns as they were (`checkpoint.py`)
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paradox.core.errors import CorruptionError, InvalidArgument, StorageUnavailable
from paradox.core.files import make_folder, remove_unfinished
from paradox.core.making import in_the_making, remove_abandoned
from paradox.memory import settings
from paradox.memory.derived import DerivedData, nothing
from paradox.memory.settings import FILE_NAME, EngineSettings
from paradox.store import RecordStore
from paradox.store.snapshot import claim_place, take_snapshot

_RECORDS = "records"
_REMEDY = "restore a snapshot"


def open_folder(
    folder: Path, asked: Mapping[str, Any], schema: Mapping[str, Any] | None
) -> tuple[EngineSettings, RecordStore]:
    """Return the settings and the open records of the engine that lives in a folder, or a new one.

    Args:
        folder: made where it is not there.
        asked: `dim`, `metric`, `index` and `index_options`, each None where any will do.
        schema: as for `LatentMemoryEngine`.

    Raises:
        InvalidArgument: the engine there has other settings, a new one needs a `dim`, or the
            folder cannot be one.
        StorageUnavailable: another process holds it, or the disk refuses.
        CorruptionError: settings or records are missing or damaged.
    """
    with _usable(folder):
        kept = settings.read(folder)
        if kept is None:
            _refuse_lost_settings(folder, asked["dim"])
            return _make(folder, asked, schema)
    made = settings.reconcile(kept, asked, folder)
    if not (folder / _RECORDS).is_dir():
        raise CorruptionError("the records are missing", folder / _RECORDS, None, _REMEDY)
    return made, RecordStore.open(folder / _RECORDS, dim=made.dim, schema=schema)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that died have left; only who holds the records may.

    A snapshot of an engine that was closed meanwhile goes on: its copy has a lock of its own.
    """
    remove_abandoned(folder)
    with contextlib.suppress(OSError):
        remove_unfinished(folder / FILE_NAME)


def stage_folder(
    folder: Path, made: EngineSettings, derived: DerivedData, store: RecordStore
) -> None:
    """Write a consistent copy of an engine into a new folder, by hard links where possible."""
    folder.mkdir(parents=True)
    settings.write(folder, made)
    derived.stage(folder)
    store.checkpoint(folder / _RECORDS)  # last: never older than the checkpoint


def snapshot_folder(uri: str, beside: Path | None, stage: Callable[[Path], None]) -> None:
    """Copy an engine to where fsspec reaches.

    Args:
        uri: where to.
        beside: the engine's folder, where hard links are possible; None for one in memory.
        stage: writes a consistent copy of the engine into a new folder.
    """
    claim_place(uri)  # first, so that a place that refuses costs nothing
    with _staging(beside) as copy:
        stage(copy)
        take_snapshot(copy, uri)


@contextmanager
def _staging(beside: Path | None) -> Iterator[Path]:
    """Yield where a copy may be made; it is removed at the end, or by the next who opens."""
    if beside is not None:
        with in_the_making(beside / "snapshot") as copy:
            yield copy
    else:
        with tempfile.TemporaryDirectory(prefix="paradox-") as folder:
            yield Path(folder) / "snapshot"


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Turn what the system says of a path that can be no folder of ours into an error about it."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, FileNotFoundError, PermissionError) as error:
        raise InvalidArgument(
            f"engine: expected a folder that can be made and written to; got '{folder}': {error}"
        ) from error
    except OSError as error:
        raise StorageUnavailable(f"engine {folder}: {error}") from error


def _make(
    folder: Path, asked: Mapping[str, Any], schema: Mapping[str, Any] | None
) -> tuple[EngineSettings, RecordStore]:
    if asked["dim"] is None:
        raise InvalidArgument(f"dim: expected the dimension of a new engine at {folder}")
    made = settings.make(
        asked["dim"], asked["metric"] or "l2", asked["index"] or "auto", asked["index_options"]
    )
    nothing(made)  # first, so that options that cannot be change nothing
    make_folder(folder)
    store = RecordStore.open(folder / _RECORDS, dim=made.dim, schema=schema)
    try:
        settings.write(folder, made)
    except BaseException:
        store.close()
        raise
    return made, store


def _refuse_lost_settings(folder: Path, dim: int | None) -> None:
    """Refuse a folder without settings but with records; one whose making was cut short is none."""
    if (folder / _RECORDS).is_dir():
        with RecordStore.open(folder / _RECORDS, dim=dim) as store:
            if store.last_seq:
                raise CorruptionError("the settings are missing", folder / FILE_NAME, None, _REMEDY)
