"""A client's end of the data plane.

A line is a set of sockets, one to each shard, that one thread at a time calls over: no thread has
to wake for another, which would take longer than the call.
"""

from __future__ import annotations

import itertools
import math
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from paradox.cluster.plane.calls import (
    PlaneAddress,
    answer_of,
    failure_of,
    frames_of,
    packed_call,
    packed_giving_up,
    result_of,
)
from paradox.cluster.plane.sockets import caller
from paradox.cluster.wire import Frame
from paradox.core.errors import DeadlineExceeded, Overloaded, ParadoxError, ShardUnavailable

_MOST_LINES = 64
_IDLE_S = 1.0
_LOST = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call to a shard.

    Attributes:
        method: of the shard.
        argument: as the shard's handler takes it.
        result: type of the result.
    """

    method: str
    argument: Any
    result: Any


class Lines:
    """Calls to shards from any number of threads.

    Attributes:
        close: closes all sockets, when no call is under way; happens by itself when the last
            reference to this goes.

    Args:
        who: shard to what it is called in messages.
        clock: seconds, monotonic.
    """

    def __init__(
        self, who: Callable[[int], str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._who = who
        self._clock = clock
        self._lock = Lock()
        self._free: list[_Line] = []
        self._room = Semaphore(_MOST_LINES)
        self._addresses: dict[int, PlaneAddress] = {}
        self._ends = _Ends()
        self.close = weakref.finalize(self, self._ends.close_all)

    def reach(self, shard: int, address: PlaneAddress | None) -> None:
        """Call a shard there from now on; with None it cannot be called."""
        with self._lock:
            if address is None:
                self._addresses.pop(shard, None)
            else:
                self._addresses[shard] = address

    def call(self, calls: Mapping[int, Asked], *, timeout_s: float) -> dict[int, Any]:
        """Call shards, all at once.

        Args:
            calls: shard to what it is asked; what has the very same argument is packed once.
            timeout_s: return after this long with what has come; what has not is given up.

        Returns:
            Shard to its result, or to the `ParadoxError` that there is instead of one.
        """
        deadline = self._clock() + timeout_s
        with self._borrowed(timeout_s) as line:
            if line is None:
                refusal = Overloaded(f"this client has {_MOST_LINES} calls under way")
                return dict.fromkeys(calls, refusal)
            return line.call(calls, self._addresses, deadline)

    @contextmanager
    def _borrowed(self, timeout_s: float) -> Iterator[_Line | None]:
        if not self._room.acquire(timeout=timeout_s):
            yield None
            return
        try:
            with self._lock:
                line = self._free.pop() if self._free else None
            line = line or _Line(self._ends, self._who, self._clock)
            try:
                yield line
            except BaseException:
                line.close()  # Ctrl-C may have left it in the middle of a message
                raise
            with self._lock:
                self._free.append(line)
        finally:
            self._room.release()


@dataclass(frozen=True, slots=True, eq=False)
class _End:
    """A socket to a shard, and one that tells what becomes of its connection."""

    address: PlaneAddress
    socket: zmq.Socket[bytes]
    monitor: zmq.Socket[bytes]


class _Ends:
    """All sockets of all lines, so that they are closed whatever goes first."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 1 << 14)
        self._open: set[_End] = set()

    def open(self, address: PlaneAddress) -> _End:
        """Return a new socket that calls there."""
        made = caller(self._context, address)
        end = _End(address, made, made.get_monitor_socket(_LOST | zmq.EVENT_HANDSHAKE_SUCCEEDED))
        self._open.add(end)
        made.connect(address.endpoint)
        return end

    def close(self, end: _End) -> None:
        """Close a socket, and what tells of it."""
        self._open.discard(end)
        end.socket.disable_monitor()
        end.monitor.close(0)
        end.socket.close(0)

    def close_all(self) -> None:
        """Close every socket that is open."""
        for end in list(self._open):
            self.close(end)
        self._context.destroy(linger=0)


class _Line:
    """Sockets to shards, for one thread at a time."""

    def __init__(self, ends: _Ends, who: Callable[[int], str], clock: Callable[[], float]) -> None:
        self._opened = ends
        self._who = who
        self._clock = clock
        self._numbers = itertools.count(1)
        self._ends: dict[int, _End] = {}
        self._shard_of: dict[Any, int] = {}
        self._poller = zmq.Poller()
        self._last_used = -math.inf

    def call(
        self,
        calls: Mapping[int, Asked],
        addresses: Mapping[int, PlaneAddress],
        deadline: float,
    ) -> dict[int, Any]:
        """Call shards; see `Lines.call`."""
        replies: dict[int, Any] = {}
        if self._clock() - self._last_used > _IDLE_S:
            self._look(0, {}, calls, replies)  # what became of connections meanwhile
        waiting: dict[int, int] = {}  # shard to the number of its call
        packed: dict[tuple[str, int], tuple[int, list[Frame]]] = {}  # what several get alike
        for shard, asked in calls.items():
            key = asked.method, id(asked.argument)
            if key not in packed:
                number = next(self._numbers)
                left_s = max(deadline - self._clock(), 0.0)
                packed[key] = (
                    number,
                    packed_call(number, asked.method, asked.argument, timeout_s=left_s),
                )
            number, message = packed[key]
            try:
                self._send(shard, addresses.get(shard), message)
                waiting[shard] = number
            except ParadoxError as error:
                replies[shard] = error
        while waiting and (left_s := deadline - self._clock()) > 0:
            self._look(math.ceil(left_s * 1e3), waiting, calls, replies)
        self._give_up(waiting)
        for shard in waiting:
            replies[shard] = DeadlineExceeded(f"{self._who(shard)}: no answer in time")
        self._last_used = self._clock()
        return replies

    def close(self) -> None:
        """Close all sockets."""
        for shard in list(self._ends):
            self._drop(shard)

    def _send(self, shard: int, address: PlaneAddress | None, message: list[Frame]) -> None:
        if address is None:
            raise ShardUnavailable(f"{self._who(shard)} is restarting or cannot be reached")
        try:
            self._end(shard, address).socket.send_multipart(message, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            raise Overloaded(f"{self._who(shard)} takes no more calls at present") from None

    def _look(
        self,
        timeout_ms: int,
        waiting: dict[int, int],
        calls: Mapping[int, Asked],
        replies: dict[int, Any],
    ) -> None:
        """Wait for what comes next, and take it in."""
        for ready, _ in self._poller.poll(timeout_ms):
            shard = self._shard_of.get(ready)
            if shard is None:
                continue  # its other socket was ready too, and told that it is lost
            if ready is self._ends[shard].socket:
                self._take_answers(shard, ready, waiting, calls, replies)
            elif self._is_lost(ready):
                if waiting.pop(shard, None) is not None:
                    replies[shard] = ShardUnavailable(
                        f"{self._who(shard)} is restarting or cannot be reached"
                    )
                self._drop(shard)

    def _take_answers(
        self,
        shard: int,
        ready: zmq.Socket[bytes],
        waiting: dict[int, int],
        calls: Mapping[int, Asked],
        replies: dict[int, Any],
    ) -> None:
        """Take in what a shard sent, until its answer is there; what was given up is left out."""
        while True:
            try:
                frames = frames_of(ready.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            answer = answer_of(frames)
            if answer.number == waiting.get(shard):
                break
        del waiting[shard]
        if answer.failed:
            replies[shard] = failure_of(frames)
        else:
            replies[shard] = result_of(frames, calls[shard].result)

    def _is_lost(self, monitor: zmq.Socket[bytes]) -> bool:
        lost = False
        with suppress(zmq.Again):
            while True:
                lost = bool(recv_monitor_message(monitor, zmq.NOBLOCK)["event"] & _LOST)
        return lost

    def _give_up(self, waiting: Mapping[int, int]) -> None:
        for shard, number in waiting.items():
            if shard in self._ends:
                with suppress(zmq.Again):
                    self._ends[shard].socket.send_multipart(packed_giving_up(number), zmq.NOBLOCK)

    def _end(self, shard: int, address: PlaneAddress) -> _End:
        end = self._ends.get(shard)
        if end is not None and end.address == address:
            return end
        if end is not None:
            self._drop(shard)
        end = self._ends[shard] = self._opened.open(address)
        for one in (end.socket, end.monitor):
            self._shard_of[one] = shard
            self._poller.register(one, zmq.POLLIN)
        return end

    def _drop(self, shard: int) -> None:
        end = self._ends.pop(shard)
        for one in (end.socket, end.monitor):
            self._poller.unregister(one)
            del self._shard_of[one]
        self._opened.close(end)
