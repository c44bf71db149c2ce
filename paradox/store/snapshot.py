"""Snapshots: a folder of finished files, copied whole to wherever fsspec reaches.

The files go first, the manifest of their sizes and hashes last: what has no manifest was cut
short and is not a snapshot. A snapshot is never changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import msgspec
from fsspec.implementations.local import LocalFileSystem

from paradox.core.errors import InvalidArgument, ParadoxError, SnapshotCorrupt, StorageUnavailable
from paradox.core.files import make_folder, sync_folder, sync_folders, write_atomically
from paradox.core.making import in_the_making, remove_abandoned

MANIFEST = "manifest.json"
_UNFINISHED = "unfinished"
_FORMAT = 1
_CHUNK = 4 << 20
_RETAKE = "fetch the snapshot again, or restore another"

Progress = Callable[[int, int], None]
"""Called with the bytes copied so far and the bytes in all."""


class SnapshotFile(msgspec.Struct, frozen=True):
    """One file of a snapshot: its name below the folder, its bytes, its BLAKE2b in hex."""

    name: str
    size: int
    blake2b: str


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot consists of, with the BLAKE2b of its own list of files."""

    format: int
    files: list[SnapshotFile]
    blake2b: str


def claim_place(uri: str) -> None:
    """Make sure that a snapshot can be written to a place, and mark it as unfinished there.

    Args:
        uri: a path, or anything fsspec speaks, such as `s3://bucket/name`.

    Raises:
        InvalidArgument: there is something at `uri` other than a snapshot that was cut short,
            fsspec does not know its protocol, or nothing can be written there.
        StorageUnavailable: the place refuses.
    """
    fs, root = _resolve(uri)
    marker = f"{root}/{_UNFINISHED}"
    with _refusals(uri):
        _check_new(fs, root, uri)
        try:
            with _writing(fs, marker):
                pass
        except (NotImplementedError, ValueError) as error:  # of file systems that only read
            raise _unwritable(fs, uri) from error
        fs.invalidate_cache()
        if not fs.exists(marker):  # git's takes what is written, and keeps nothing
            raise _unwritable(fs, uri)


def take_snapshot(folder: Path, uri: str, *, progress: Progress | None = None) -> Manifest:
    """Copy a folder whose files no longer change.

    Args:
        folder: what to copy.
        uri: where to: a path, or anything fsspec speaks, such as `s3://bucket/name`.
        progress: called after each piece copied.

    Raises:
        InvalidArgument: as `claim_place`.
        StorageUnavailable: the place refuses.
    """
    claim_place(uri)
    fs, root = _resolve(uri)
    sources = sorted(path for path in folder.rglob("*") if path.is_file())
    total = sum(path.stat().st_size for path in sources)
    done = 0
    files = []
    with _refusals(uri):
        for path in sources:
            name = path.relative_to(folder).as_posix()
            digest, size = hashlib.blake2b(), 0
            with path.open("rb") as source, _writing(fs, f"{root}/{name}") as target:
                while piece := source.read(_CHUNK):
                    target.write(piece)
                    digest.update(piece)
                    size += len(piece)
                    done += len(piece)
                    if progress is not None:
                        progress(done, total)
            files.append(SnapshotFile(name, size, digest.hexdigest()))
        manifest = Manifest(_FORMAT, files, _digest_of(files))
        encoded = msgspec.json.format(msgspec.json.encode(manifest))
        if isinstance(fs, LocalFileSystem):
            sync_folders(Path(root))  # first: what the manifest names has to be there with it
            write_atomically(Path(root) / MANIFEST, encoded)
        else:
            with fs.transaction, fs.open(f"{root}/{MANIFEST}", "wb") as target:
                target.write(encoded)
        fs.rm_file(f"{root}/{_UNFINISHED}")
        if isinstance(fs, LocalFileSystem):
            sync_folder(Path(root))
    return manifest


def restore_snapshot(uri: str, path: Path, *, progress: Progress | None = None) -> Manifest:
    """Make the folder that was copied again; it appears at `path` only when every hash is right.

    Args:
        uri: where the snapshot is.
        path: the folder to make; may exist if it is empty.
        progress: called after each piece copied.

    Raises:
        InvalidArgument: `path` is taken, fsspec does not know the protocol, or a newer Paradox
            took the snapshot.
        SnapshotCorrupt: names the file that is missing, altered, or not below the folder.
        StorageUnavailable: the place, or the disk, refuses.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InvalidArgument(f"restore: expected a new or empty folder; {path} is taken")
    fs, root = _resolve(uri)
    with _refusals(uri):
        manifest = _read_manifest(fs, root, uri)
        total = sum(file.size for file in manifest.files)
        done = 0
        make_folder(path.parent)
        remove_abandoned(path.parent)
        with in_the_making(path) as unfinished:
            unfinished.mkdir()
            for file in manifest.files:
                for size in _fetch(fs, f"{root}/{file.name}", unfinished / file.name, file):
                    done += size
                    if progress is not None:
                        progress(done, total)
            sync_folders(unfinished)
            unfinished.rename(path)
        sync_folder(path.parent)
    return manifest


def _check_new(fs: Any, root: str, uri: str) -> None:
    """Refuse a place where anything is but a snapshot that was cut short."""
    if fs.exists(f"{root}/{MANIFEST}"):
        raise InvalidArgument(f"snapshot: expected a new place; there is one at {uri}")
    ours = not fs.exists(root) or fs.exists(f"{root}/{_UNFINISHED}")
    if not ours and (not fs.isdir(root) or fs.ls(root, detail=False)):
        raise InvalidArgument(f"snapshot: expected a new or empty place; {uri} is in use")


def _unwritable(fs: Any, uri: str) -> InvalidArgument:
    return InvalidArgument(
        "snapshot: expected a place that can be written to, such as a folder or s3://bucket/name; "
        f"got {uri!r}, where {type(fs).__name__} only reads"
    )


def _resolve(uri: str) -> tuple[Any, str]:
    with _refusals(uri):
        try:
            fs, root = fsspec.url_to_fs(uri)
        except (ValueError, ImportError, TypeError) as error:
            raise InvalidArgument(
                f"snapshot: expected a place fsspec knows; got {uri!r} ({error})"
            ) from error
    fs.invalidate_cache()
    return fs, root.rstrip("/")


def _read_manifest(fs: Any, root: str, uri: str) -> Manifest:
    where = f"{uri.rstrip('/')}/{MANIFEST}"
    try:
        raw = fs.cat_file(f"{root}/{MANIFEST}")
    except FileNotFoundError as error:
        if not fs.exists(root):
            raise InvalidArgument(f"snapshot: expected one at {uri}; nothing is there") from error
        raise SnapshotCorrupt("no snapshot, or one cut short", where, None, _RETAKE) from error
    try:
        if msgspec.json.decode(raw, type=_Versioned).format > _FORMAT:
            raise InvalidArgument(f"snapshot {uri}: a newer Paradox took it")
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise SnapshotCorrupt(f"no manifest: {error}", where, None, _RETAKE) from error
    if manifest.blake2b != _digest_of(manifest.files):
        raise SnapshotCorrupt("the manifest was altered", where, None, _RETAKE)
    names = [file.name for file in manifest.files]
    for name in names:
        if not _is_below(name) or names.count(name) > 1:
            raise SnapshotCorrupt(f"{name!r} is no name below the folder", where, None, _RETAKE)
    return manifest


def _fetch(fs: Any, source: str, target: Path, file: SnapshotFile) -> Iterator[int]:
    """Copy one file, yielding the size of each piece; checked before the last one is yielded."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.blake2b(), 0
    try:
        opened = fs.open(source, "rb")
    except FileNotFoundError as error:
        raise SnapshotCorrupt("a file is missing", file.name, None, _RETAKE) from error
    with opened, target.open("xb") as copy:
        while size <= file.size and (piece := opened.read(_CHUNK)):
            copy.write(piece)
            digest.update(piece)
            size += len(piece)
            yield len(piece)
        copy.flush()
        os.fsync(copy.fileno())
    if size != file.size or digest.hexdigest() != file.blake2b:
        raise SnapshotCorrupt("a file is not what was copied", file.name, None, _RETAKE)


@contextmanager
def _writing(fs: Any, path: str) -> Iterator[Any]:
    folder = path.rpartition("/")[0]
    if isinstance(fs, LocalFileSystem):
        make_folder(Path(folder))
    else:
        fs.makedirs(folder, exist_ok=True)
    with fs.open(path, "wb") as file:
        yield file
        if isinstance(fs, LocalFileSystem):
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _refusals(uri: str) -> Iterator[None]:
    try:
        yield
    except ParadoxError:
        raise
    except Exception as error:  # a file system of fsspec raises what the library under it does
        raise StorageUnavailable(f"snapshot {uri}: {type(error).__name__}: {error}") from error


class _Versioned(msgspec.Struct):
    format: int


def _digest_of(files: list[SnapshotFile]) -> str:
    return hashlib.blake2b(msgspec.json.encode(files)).hexdigest()


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    unusual = "\\" in name or "\0" in name or ":" in name
    return bool(path.parts) and not (path.is_absolute() or ".." in path.parts or unusual)
