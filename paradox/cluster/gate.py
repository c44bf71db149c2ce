"""A gate that writes pass, and that can be held shut for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition


class WriteGate:
    """Lets writes pass until it is held; then they wait until it is released, or the time is up.

    Holding the gates of all shards gives one moment for all of them: whatever a write on one shard
    made possible on another, both are before it, or the second is not there.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = Condition()
        self._passing = 0
        self._shut_until = 0.0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait until the gate is open, and keep `hold` waiting for the end of the block."""
        with self._changed:
            while (wait_s := self._shut_until - self._clock()) > 0:
                self._changed.wait(wait_s)
            self._passing += 1
        try:
            yield
        finally:
            with self._changed:
                self._passing -= 1
                self._changed.notify_all()

    def hold(self, at_most_s: float) -> None:
        """Shut the gate, and return when no write is under way any more.

        Args:
            at_most_s: open it again after this long, whatever became of the holder.
        """
        with self._changed:
            self._shut_until = self._clock() + at_most_s
            while self._passing:
                self._changed.wait()

    def release(self) -> None:
        """Open the gate."""
        with self._changed:
            self._shut_until = 0.0
            self._changed.notify_all()
