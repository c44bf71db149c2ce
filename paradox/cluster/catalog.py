"""The collections there are, as files say it: found again after everything has been restarted."""

from __future__ import annotations

import shutil
from collections.abc import Collection as AnyOf
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import msgspec

from paradox.cluster.sealed import read_sealed, write_sealed
from paradox.cluster.settings import (
    DAMAGED_REMEDY,
    FORMAT,
    INGEST_FOLDER,
    PARTITIONER_FILE,
    SETTINGS_FILE,
    STATE_FILE,
    CollectionSettings,
    differences,
)
from paradox.core.errors import (
    CollectionExists,
    CollectionNotFound,
    CorruptionError,
    InvalidArgument,
)
from paradox.core.files import make_folder, sync_folder
from paradox.core.making import remove_abandoned

_CATALOG_FILE = "catalog.json"
_DROPPED_FILE = "dropped.json"
_LOST_REMEDY = (
    "bring the file back; or move it away, and create each collection again with its settings and "
    "its storage, which finds its data"
)


class _Listing(msgspec.Struct, frozen=True):
    """Collection name to the absolute path of its storage."""

    storages: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One collection of the catalog.

    Attributes:
        settings: what it is.
        storage: where its data are, an absolute path.
        created: whether it was not there before.
    """

    settings: CollectionSettings
    storage: Path
    created: bool = False


class Catalog:
    """Names to storages, kept in one file below `root`.

    Each collection's settings lie in its own storage, so that a storage alone is enough to bring
    a collection back: `create` with the same settings and storage finds its data again.
    Opening one finishes what was cut short: drops, and restores into the default folder.

    Args:
        root: folder of the catalog and of all storages that are not named; made if missing.

    Raises:
        CorruptionError: the catalog does not hold what was written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = root / _CATALOG_FILE
        self._lock = Lock()
        make_folder(root)
        self._folder = root / "collections"
        remove_abandoned(self._folder)
        listing = read_sealed(self._path, _Listing, remedy=_LOST_REMEDY) or _Listing()
        self._storages = dict(listing.storages)
        for name, storage in list(self._storages.items()):
            if (Path(storage) / _DROPPED_FILE).exists():
                self._finish_drop(name, Path(storage))

    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return sorted(self._storages)

    def default_storage(self, name: str) -> Path:
        """Return where the data of a collection go that names no storage."""
        return self._folder / name

    def get(self, name: str) -> Entry:
        """Return a collection.

        Raises:
            CollectionNotFound: there is none of that name.
            CorruptionError: its settings are missing or damaged.
        """
        storage = self._storages.get(name)
        if storage is None:
            known = ", ".join(map(repr, self.names()))
            raise CollectionNotFound(
                f"collection {name!r} is not there; "
                + (f"there is {known}" if known else "there is none at all")
            )
        settings = _settings_in(Path(storage))
        if settings is None:
            raise CorruptionError(
                f"the settings of collection {name!r} are missing",
                Path(storage) / SETTINGS_FILE,
                remedy=DAMAGED_REMEDY,
            )
        return Entry(settings, Path(storage))

    def create(
        self,
        asked: CollectionSettings,
        storage: Path | None = None,
        *,
        unasked: AnyOf[str] = (),
    ) -> Entry:
        """Return the collection with these settings, made if it is not there.

        Args:
            asked: the settings wanted.
            storage: folder of its data, an absolute path, or None for wherever they are, and
                the default folder for a new one.
            unasked: settings that may differ where the collection is there already.

        Raises:
            CollectionExists: it is there with other settings, or in another storage.
            InvalidArgument: the storage belongs to another collection, or holds other files.
        """
        with self._lock, _usable(storage):
            if asked.name in self._storages:
                kept = self.get(asked.name)
                differing = differences(kept.settings, asked, unasked)
                if storage not in (None, kept.storage):
                    differing.append(f"storage: it has '{kept.storage}', asked for '{storage}'")
                _refuse(asked.name, differing)
                return kept
            folder = storage or self.default_storage(asked.name)
            settings = _settings_in(folder)
            if settings is None:
                _make_storage(folder)
                asked.make_shard_folders(folder)
                write_sealed(folder / SETTINGS_FILE, asked)
            elif settings.name != asked.name:
                raise InvalidArgument(
                    f"storage: expected a folder of its own; got '{folder}', "
                    f"which belongs to collection {settings.name!r}"
                )
            else:
                _refuse(asked.name, differences(settings, asked, unasked))
            self._save({**self._storages, asked.name: str(folder)})
            return Entry(settings or asked, folder, created=settings is None)

    def remove(self, name: str, *, keep_data: bool = False) -> None:
        """Forget a collection, and delete its data unless they are to be kept.

        Whatever interrupts it, the collection is either still there or never comes back.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        with self._lock:
            if name not in self._storages:
                self.get(name)
            storage = Path(self._storages[name])
            if keep_data:
                self._forget(name)
                return
            if (storage / SETTINGS_FILE).exists():
                (storage / SETTINGS_FILE).replace(storage / _DROPPED_FILE)
                sync_folder(storage)
            self._finish_drop(name, storage)

    def _finish_drop(self, name: str, storage: Path) -> None:
        self._forget(name)
        _delete_data(storage)

    def _forget(self, name: str) -> None:
        self._save({n: storage for n, storage in self._storages.items() if n != name})

    def _save(self, storages: dict[str, str]) -> None:
        write_sealed(self._path, _Listing(storages))
        self._storages = storages


def _settings_in(storage: Path) -> CollectionSettings | None:
    settings = read_sealed(storage / SETTINGS_FILE, CollectionSettings, remedy=DAMAGED_REMEDY)
    if settings is not None and settings.format > FORMAT:
        raise InvalidArgument(
            f"{storage}: expected format {FORMAT} or older; got {settings.format}, "
            "written by a newer Paradox"
        )
    return settings


@contextmanager
def _usable(storage: Path | None) -> Iterator[None]:
    """Turn what the system says of a path that can be no folder of ours into an error about it."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, FileNotFoundError, PermissionError) as error:
        raise InvalidArgument(
            f"storage: expected a folder that can be made and written to; got '{storage}': {error}"
        ) from error


def _refuse(name: str, differing: list[str]) -> None:
    if differing:
        raise CollectionExists(
            f"collection {name!r} exists with other settings: {'; '.join(differing)}"
        )


def _make_storage(folder: Path) -> None:
    if (folder / _DROPPED_FILE).exists():
        _delete_data(folder)
    if folder.exists():
        foreign = sorted(p.name for p in folder.iterdir() if not _is_leftover(p))
        if foreign:
            raise InvalidArgument(
                f"storage: expected a new or empty folder; got '{folder}', "
                f"which holds {', '.join(foreign[:3])}{' ...' if len(foreign) > 3 else ''}"
            )
    make_folder(folder)


def _is_leftover(path: Path) -> bool:
    """Tell whether this may lie in a new storage: of a making that was cut short, or hidden."""
    is_empty_shard = path.match("shard-*") and path.is_dir() and not any(path.iterdir())
    return is_empty_shard or path.name.startswith(".")


def _delete_data(storage: Path) -> None:
    """Delete a dropped collection's own files; whatever else lies there stays."""
    remove_abandoned(storage)
    for folder in (*storage.glob("shard-*"), storage / INGEST_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (STATE_FILE, PARTITIONER_FILE, _DROPPED_FILE):
        (storage / file).unlink(missing_ok=True)
    if storage.is_dir() and not any(storage.iterdir()):
        storage.rmdir()
