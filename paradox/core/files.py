"""Files that are either the old one or the new one, whenever the power goes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, *parts: Any) -> None:
    """Replace `path` by the concatenation of `parts`, durably and in one step.

    Args:
        path: the file; its folder must exist.
        parts: buffers (bytes, memoryview, C-contiguous arrays), written in order.

    Raises:
        OSError: the file could not be written; `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            _write_all(file, parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(file: Any, parts: Iterable[Any]) -> None:
    for part in parts:
        view = memoryview(part)
        if view.nbytes:  # an empty view cannot be cast
            file.write(view.cast("B"))
