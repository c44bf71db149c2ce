"""A gate that writes pass, and that can be held shut for a while."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from paradox.core.errors import ShardUnavailable

_REMEMBERED = 16


class WriteGate:
    """Lets writes pass until it is held; then they wait until it is released, or the time is up.

    Holding the gates of all shards gives one moment for all of them: whatever a write on one shard
    made possible on another, both are before it, or the second is not there. One holder has it at
    a time, named by a token.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = Condition()
        self._passing = 0
        self._holder = ""
        self._shut_until = 0.0
        self._released: deque[str] = deque(maxlen=_REMEMBERED)

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

    def hold(self, holder: str, at_most_s: float) -> None:
        """Shut the gate, and return when no write is under way any more.

        Args:
            holder: a token of its own.
            at_most_s: open it again after this long, whatever became of the holder.

        Raises:
            ShardUnavailable: another has it, or this one has let go of it.
        """
        with self._changed:
            if self._shut_until > self._clock() and self._holder != holder:
                raise ShardUnavailable("writes are being held for another snapshot")
            if holder not in self._released:
                self._holder = holder
                self._shut_until = self._clock() + at_most_s
            while self._passing and self._is_held_by(holder):
                self._changed.wait()
            self._check_held_by(holder)

    @contextmanager
    def kept_shut(self, holder: str, at_most_s: float) -> Iterator[None]:
        """Go on holding the gate during the block, for so long at most, and open it then.

        Raises:
            ShardUnavailable: writes may have passed since `hold`, as is asked at the end too: the
                time was up, or this is not the gate that was held.
        """
        try:
            with self._changed:
                self._check_held_by(holder)
                self._shut_until = self._clock() + at_most_s
            yield
            with self._changed:
                self._check_held_by(holder)
        finally:
            self.release(holder)

    def release(self, holder: str) -> None:
        """Open the gate, if this holder has it; if `hold` is still to come, that will not shut it.

        A holder that gave up waiting for `hold` cannot know whether it is under way.
        """
        with self._changed:
            self._released.append(holder)
            if self._holder == holder:
                self._shut_until = 0.0
                self._changed.notify_all()

    def _check_held_by(self, holder: str) -> None:
        if not self._is_held_by(holder):
            raise ShardUnavailable("writes went on before a snapshot was whole")

    def _is_held_by(self, holder: str) -> bool:
        return self._holder == holder and self._shut_until > self._clock()
