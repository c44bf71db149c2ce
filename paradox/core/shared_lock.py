"""A lock that many readers or one writer hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_PARTS = 64
"""Readers that run side by side at most."""


class SharedLock:
    """Held by many readers or one writer; a reader does not pass a writer that waits.

    A reader holds one of many locks, a writer all of them. That is so that Ctrl-C finds no moment
    at which a reader could leave it held: Python never interrupts `with` between taking a
    `threading.Lock` and promising its release. A reader must not become one again, or a writer.
    """

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._parts = [threading.Lock() for _ in range(_PARTS)]
        self._turns = count()

    def reading(self) -> threading.Lock:
        """Return what a reader holds by `with`, not held yet; waits while there is a writer."""
        with self._gate:
            turn = next(self._turns) % _PARTS
        for part in self._parts[turn:]:
            if not part.locked():
                return part
        return self._parts[turn]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold it alone; to be done within `uninterrupted`, for Ctrl-C may leave it held."""
        with self._gate:
            for part in self._parts:
                part.acquire()
            try:
                yield
            finally:
                for part in self._parts:
                    part.release()
