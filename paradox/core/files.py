"""Files that are either the old one or the new one, whenever the power goes."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, *parts: Any) -> None:
    """Replace `path` by the concatenation of `parts`, durably and in one step.

    Of several who do so at once, in whatever threads, processes or machines, the last one wins.

    Args:
        path: the file; its folder must exist.
        parts: buffers (bytes, memoryview, C-contiguous arrays), written in order.

    Raises:
        OSError: the file could not be written; `path` is then as it was.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected a file, and this is a folder", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no folder for", str(path))
    # Not named by process: threads share one, and so do containers that each count from 1.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            _write_all(file, parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except FileExistsError:  # somebody else's
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_unfinished(path: Path) -> None:
    """Remove what those who died while they replaced `path` have left; nobody may be doing so."""
    for file in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        file.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, durably; it may be there already.

    Raises:
        OSError: it cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        with contextlib.suppress(PermissionError):  # may be written to, and not looked into
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folders(folder: Path) -> None:
    """Make renames and new names in `folder` and in all folders below it durable."""
    for path, _, _ in os.walk(folder, topdown=False):
        sync_folder(Path(path))


def _write_all(file: Any, parts: Iterable[Any]) -> None:
    for part in parts:
        view = memoryview(part)
        if view.nbytes:  # an empty view cannot be cast
            file.write(view.cast("B"))
