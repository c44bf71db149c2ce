"""How a thread that waits for messages is woken by another."""

from __future__ import annotations

import contextlib
import socket


class Waker:
    """Something to poll beside sockets that any thread makes ready."""

    def __init__(self) -> None:
        self._woken, self._wakes = socket.socketpair()
        self._woken.setblocking(False)
        self._wakes.setblocking(False)

    def fileno(self) -> int:
        """Return what to poll."""
        return self._woken.fileno()

    def wake(self) -> None:
        """Make it ready."""
        with contextlib.suppress(BlockingIOError, OSError):  # full is ready, and closed is late
            self._wakes.send(b"\0")

    def clear(self) -> None:
        """Make it not ready, whatever woke it."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4_096)

    def close(self) -> None:
        """Let go of it; who wakes it now wakes nobody."""
        self._woken.close()
        self._wakes.close()
