"""Folders in the making: hidden until they are whole, and removed where their maker is dead.

A folder is made inside a hidden one beside its place, and moved there last. The hidden one has a
file that its maker holds a lock on. However the maker ends, the system lets go of the lock, so a
file that another can lock is that of a folder that was abandoned.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paradox.core.files import make_folder

_LOCK = "paradox.lock"
_HEX = "[0-9a-f]"


@contextmanager
def in_the_making(place: Path) -> Iterator[Path]:
    """Yield a path inside a new hidden folder beside `place`, where something may be made.

    What has not been moved away from there at the end is removed.

    Args:
        place: where it is to be moved; its parent is made if missing.
    """
    hidden = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    make_folder(hidden.parent)
    hidden.mkdir()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, hidden, ignore_errors=True)
        lock = hidden / secrets.token_hex(4)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        lock.rename(hidden / _LOCK)  # locked before anyone looks at it
        yield hidden / place.name


def remove_abandoned(folder: Path) -> None:
    """Remove what makers that died have left in a folder; what others are making stays."""
    for lock in folder.glob(f".*.{8 * _HEX}/{_LOCK}"):
        with ExitStack() as stack:
            try:
                descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # its maker lives, or has just finished
                continue
            shutil.rmtree(lock.parent, ignore_errors=True)
