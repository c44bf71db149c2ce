"""A member's gossip over the data plane: its thread, its sockets, and what it lets in."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from threading import Lock, Thread
from typing import Any

import numpy as np
import zmq

from paradox.cluster.plane.calls import (
    PlaneAddress,
    answer_of,
    frames_of,
    packed_call,
    result_of,
)
from paradox.cluster.plane.server import Handler
from paradox.cluster.plane.sockets import caller
from paradox.cluster.plane.waker import Waker
from paradox.cluster.wire import MalformedMessage
from paradox.routing.gossip import READER, Gossip, Message, News, Ping, Pong, Sent, TryFor
from paradox.routing.knowledge import MAX_MEMBERS, NEVER, Beats, Stamps

_LOG = logging.getLogger(__name__)

_METHODS: dict[type[Message], str] = {Ping: "ping", News: "news", TryFor: "try_for"}
_TIMEOUT_S = 1.0


class Gossiping:
    """Runs a `Gossip`: has it tick, carries what it sends, and takes in what comes.

    Args:
        gossip: of this member; nobody else touches it.
        own: where this member answers.
        find: begins to look for where a member answers, whose address is not known or has proved
            wrong, and calls `reach` when it knows; must not wait.
        before_tick: has the gossip tell how this member is; must not wait.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        gossip: Gossip,
        own: PlaneAddress,
        *,
        find: Callable[[int], None],
        before_tick: Callable[[Gossip], None] = lambda gossip: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gossip = gossip
        self._own = own
        self._find = find
        self._before_tick = before_tick
        self._clock = clock
        self._lock = Lock()
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 1 << 14)
        self._poller = zmq.Poller()
        self._addresses: dict[int, PlaneAddress] = {}
        self._sockets: dict[int, tuple[PlaneAddress, zmq.Socket[bytes]]] = {}
        self._outbox: deque[Sent] = deque()
        self._waker = Waker()
        self._poller.register(self._waker.fileno(), zmq.POLLIN)
        self._is_closing = False
        self._thread = Thread(target=self._run, name="gossip", daemon=True)

    def start(self) -> None:
        """Begin to tell, and to ask."""
        self._thread.start()

    def close(self) -> None:
        """Fall silent."""
        self._is_closing = True
        self._waker.wake()
        self._thread.join()
        self._context.destroy(linger=0)
        self._waker.close()

    def reach(self, member: int, address: PlaneAddress) -> None:
        """Speak to a member there from now on."""
        self._addresses[member] = address

    def handlers(self) -> dict[str, Handler]:
        """Return how a member answers the others; all of it is light."""
        return {
            "ping": Handler(tuple[PlaneAddress | None, Ping], self._ping, _always),
            "news": Handler(News, self._take, _always),
            "try_for": Handler(TryFor, self._take, _always),
        }

    def with_gossip(self, act: Callable[[Gossip], Any]) -> Any:
        """Return what a function makes of the gossip, which it has for itself meanwhile."""
        with self._lock:
            return act(self._gossip)

    def _ping(self, given: tuple[PlaneAddress | None, Ping]) -> Pong:
        address, ping = given
        check(ping)
        if address is not None and ping.sender != READER:
            self.reach(ping.sender, address)
        with self._lock:
            due_at = self._gossip.due_at()
            ((_, pong),) = self._gossip.receive(ping, self._clock())
            is_due_earlier = self._gossip.due_at() < due_at
        if is_due_earlier:
            self._waker.wake()  # it was asleep
        assert isinstance(pong, Pong)
        return pong

    def _take(self, message: News | TryFor) -> None:
        check(message)
        with self._lock:
            sent = self._gossip.receive(message, self._clock())
        if sent:
            self._outbox.extend(sent)
            self._waker.wake()

    def _run(self) -> None:
        while not self._is_closing:
            try:
                self._turn()
            except Exception:  # the thread must live, or this member seems dead
                _LOG.exception("gossip goes on after an error of its own")

    def _turn(self) -> None:
        with self._lock:
            self._before_tick(self._gossip)
            self._outbox.extend(self._gossip.tick(self._clock()))
            due_at = self._gossip.due_at()
        while self._outbox:
            self._send(*self._outbox.popleft())
        wait_ms = max(math.ceil((due_at - self._clock()) * 1e3), 0)
        for ready, _ in self._poller.poll(wait_ms):
            if isinstance(ready, zmq.Socket):
                self._take_pongs(ready)
            else:
                self._waker.clear()

    def _send(self, member: int, message: Message) -> None:
        address = self._addresses.get(member)
        if address is None:
            self._find(member)
            return
        known, dealer = self._sockets.get(member, (None, None))
        if known != address or dealer is None:
            if dealer is not None:
                self._poller.unregister(dealer)
                dealer.close(0)
            dealer = caller(self._context, address)
            dealer.connect(address.endpoint)
            self._sockets[member] = address, dealer
            self._poller.register(dealer, zmq.POLLIN)
        argument = (self._own, message) if isinstance(message, Ping) else message
        frames = packed_call(0, _METHODS[type(message)], argument, timeout_s=_TIMEOUT_S)
        with contextlib.suppress(zmq.Again):  # it is not there, and the gossip will notice
            dealer.send_multipart(frames, zmq.NOBLOCK)

    def _take_pongs(self, dealer: zmq.Socket[bytes]) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                frames = frames_of(dealer.recv_multipart(zmq.NOBLOCK))
                if answer_of(frames).failed:
                    continue
                pong = result_of(frames, Pong | None)
                if isinstance(pong, Pong):
                    check(pong)
                    with self._lock:
                        self._outbox.extend(self._gossip.receive(pong, self._clock()))


def check(message: Message) -> None:
    """Refuse a message that `Gossip` must not see.

    Raises:
        MalformedMessage: a member that cannot be, or columns of unequal length.
    """
    _check_members([message.sender], lowest=READER if isinstance(message, Ping) else 0)
    if isinstance(message, TryFor):
        _check_members([message.member])
        return
    _check_beats(message.beats)
    if isinstance(message, Ping):
        _check_columns(message.summaries)
    else:
        _check_members([told.member for told in message.told])
    if isinstance(message, Pong):
        _check_members(message.wanted)
    if not isinstance(message, News):
        _check_members([suspicion.member for suspicion in message.suspicions])
        if not message.awake_s >= 0:
            raise MalformedMessage(f"awake_s: expected 0 or more; got {message.awake_s}")


def _check_members(members: Any, lowest: int = 0) -> None:
    if len(members) and not (np.min(members) >= lowest and np.max(members) < MAX_MEMBERS):
        raise MalformedMessage(
            f"member: expected {lowest} to {MAX_MEMBERS - 1}; "
            f"got {np.min(members)} to {np.max(members)}"
        )


def _check_columns(columns: Beats | Stamps) -> None:
    _check_members(columns.members)
    lengths = {np.shape(getattr(columns, name)) for name in columns.__slots__}
    if len(lengths) > 1 or columns.members.ndim != 1:
        raise MalformedMessage(f"columns: expected equal lengths; got {sorted(lengths)}")
    if len(np.unique(columns.members)) < len(columns.members) or (columns.stamps < NEVER).any():
        raise MalformedMessage("members: expected each once, with stamps of -1 or more")


def _check_beats(beats: Beats) -> None:
    _check_columns(beats)
    if not np.isfinite(beats.loads).all() or (beats.n_live < NEVER).any():
        raise MalformedMessage("beats: expected finite loads, and -1 records or more")


def _always(argument: Any) -> bool:
    return True
