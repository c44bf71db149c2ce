"""A shard's end of the data plane: one thread takes messages in, and answers the light ones."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

import zmq
from zmq.auth.thread import ThreadAuthenticator

from paradox.cluster.plane.calls import (
    Call,
    Limits,
    PlaneAddress,
    frames_of,
    head_of,
    packed_answer,
    packed_failure,
)
from paradox.cluster.plane.sockets import answerer
from paradox.cluster.plane.waker import Waker
from paradox.cluster.wire import Frame, MalformedMessage, unpack
from paradox.core.errors import InternalError, Overloaded, ParadoxError, StorageUnavailable

_LOG = logging.getLogger(__name__)

_AT_ONCE = 64
_RETRY_AFTER_S = 0.1


def _never(argument: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Handler:
    """How a method is answered.

    Attributes:
        takes: type of its argument, as `paradox.cluster.wire` knows them.
        run: answers one call.
        is_light: whether a call takes so little that it is answered before the next message is
            looked at; for all others a worker is woken.
        run_together: answers light calls that have piled up, each with its result or its error.
    """

    takes: Any
    run: Callable[[Any], Any]
    is_light: Callable[[Any], bool] = _never
    run_together: Callable[[Sequence[Any]], Sequence[Any]] | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A call that has come, and until when somebody waits for it."""

    sender: bytes
    call: Call
    argument: Any
    n_bytes: int
    until: float


class PlaneServer:
    """Answers calls that come over sockets, until it is closed.

    Nobody gets in without the keys in `address`. Calls whose caller has given up are not begun;
    more calls than `limits` allows are refused at once.

    Args:
        handlers: method to how it is answered.
        host: address of this node that the callers reach, IPv4 or IPv6.
        limits: what is taken on at a time.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        *,
        host: str,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = dict(handlers)
        self._limits = limits or Limits()
        self._clock = clock
        self._context = zmq.Context()
        client_public, client_secret = zmq.curve_keypair()
        self._let_in(client_public)
        server_public, server_secret = zmq.curve_keypair()
        self._socket = answerer(self._context, host, secret_key=server_secret, limits=self._limits)
        self.address = PlaneAddress(
            self._socket.getsockopt_string(zmq.LAST_ENDPOINT),
            server_public,
            client_public,
            client_secret,
        )
        self._workers = ThreadPoolExecutor(self._limits.workers, thread_name_prefix="plane")
        self._lock = Lock()
        self._under_way: dict[tuple[bytes, int], tuple[_Waiting, Future[None]]] = {}
        self._n_bytes = 0
        self._finished: deque[list[Frame]] = deque()
        self._waker = Waker()
        self._is_closing = False
        self._thread = Thread(target=self._serve, name="plane", daemon=True)
        self._thread.start()

    def learn(self, handlers: Mapping[str, Handler]) -> None:
        """Answer these calls too."""
        self._handlers = {**self._handlers, **handlers}

    def close(self) -> None:
        """Answer no more; calls that run end, and nobody is told."""
        if self._is_closing:
            return
        self._is_closing = True
        self._waker.wake()
        self._thread.join()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._gatekeeper.stop()
        self._context.destroy(linger=0)
        self._waker.close()

    def _let_in(self, public_key: bytes) -> None:
        """Let nobody in but who has the secret half of a key."""
        self._gatekeeper = ThreadAuthenticator(self._context)
        self._gatekeeper.start()
        self._gatekeeper.configure_curve_callback("*", _OneKey(public_key))

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._waker.fileno(), zmq.POLLIN)
        while not self._is_closing:
            ready = dict(poller.poll())
            try:
                if self._waker.fileno() in ready:
                    self._send_finished()
                if self._socket in ready:
                    self._begin(self._received())
            except Exception:  # the thread must live: without it the shard is deaf
                _LOG.exception("the data plane goes on after an error of its own")

    def _received(self) -> list[_Waiting]:
        """Return the calls that have come and are worth beginning."""
        calls: list[_Waiting] = []
        for _ in range(_AT_ONCE):
            try:
                sender, *message = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                frames = frames_of(message)
                head = head_of(frames)
            except MalformedMessage as error:
                _LOG.debug("a message is left out: %s", error)
                continue
            if not isinstance(head, Call):
                gone = sender, head.number
                self._give_up(gone)
                calls = [one for one in calls if (one.sender, one.call.number) != gone]
                continue
            try:
                calls.append(self._waiting(sender, head, frames[1:]))
            except ParadoxError as error:
                self._send([sender, *packed_failure(head.number, error)])
        return calls

    def _waiting(self, sender: bytes, call: Call, frames: Sequence[Frame]) -> _Waiting:
        handler = self._handlers.get(call.method)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            raise MalformedMessage(f"method: expected one of {known}; got {call.method!r}")
        argument = unpack(frames, handler.takes)
        n_bytes = sum(map(len, frames))
        return _Waiting(sender, call, argument, n_bytes, self._clock() + call.timeout_s)

    def _begin(self, calls: list[_Waiting]) -> None:
        """Hand heavy calls to workers, and answer the light ones, those of a kind together."""
        light: defaultdict[str, list[_Waiting]] = defaultdict(list)
        for one in calls:
            if self._is_light(one):
                light[one.call.method].append(one)
            else:
                self._hand_over(one)
        for method, alike in light.items():
            run_together = self._handlers[method].run_together
            if run_together is None or len(alike) == 1:
                for one in alike:
                    if self._clock() < one.until:
                        self._send(self._answered(one))
                continue
            wanted = [one for one in alike if self._clock() < one.until]
            try:
                results = run_together([one.argument for one in wanted])
            except Exception:  # of one of them, and no other is to suffer from it
                results = [self._result(one) for one in wanted]
            for one, result in zip(wanted, results, strict=True):
                self._send([one.sender, *_packed(one.call.number, result)])

    def _is_light(self, one: _Waiting) -> bool:
        try:
            return self._handlers[one.call.method].is_light(one.argument)
        except Exception:  # the call itself will say what is wrong
            return False

    def _hand_over(self, one: _Waiting) -> None:
        key = (one.sender, one.call.number)
        with self._lock:
            n_calls, n_bytes = len(self._under_way), self._n_bytes
            if n_calls == 0 or self._fits(n_calls + 1, n_bytes + one.n_bytes):
                self._n_bytes += one.n_bytes
                self._under_way[key] = one, self._workers.submit(self._work, one)
                return
        refusal = Overloaded(
            f"the shard has {n_calls} calls of {n_bytes} bytes under way", _RETRY_AFTER_S
        )
        self._send([one.sender, *packed_failure(one.call.number, refusal)])

    def _fits(self, n_calls: int, n_bytes: int) -> bool:
        return n_calls <= self._limits.calls and n_bytes <= self._limits.bytes

    def _work(self, one: _Waiting) -> None:
        try:
            if self._clock() < one.until:
                self._finished.append(self._answered(one))
                self._waker.wake()
        finally:
            self._let_go(one)

    def _let_go(self, one: _Waiting) -> None:
        with self._lock:
            self._under_way.pop((one.sender, one.call.number), None)
            self._n_bytes -= one.n_bytes

    def _answered(self, one: _Waiting) -> list[Frame]:
        return [one.sender, *_packed(one.call.number, self._result(one))]

    def _result(self, one: _Waiting) -> Any:
        """Return what a call ends with, be it an error."""
        try:
            return self._handlers[one.call.method].run(one.argument)
        except Exception as error:
            return error

    def _give_up(self, key: tuple[bytes, int]) -> None:
        with self._lock:
            one, future = self._under_way.get(key, (None, None))
        if one is not None and future is not None and future.cancel():
            self._let_go(one)

    def _send_finished(self) -> None:
        self._waker.clear()
        while self._finished:
            self._send(self._finished.popleft())

    def _send(self, frames: list[Frame]) -> None:
        with contextlib.suppress(zmq.ZMQError):  # the caller is gone, or takes nothing
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=False)


class _OneKey:
    """Knows one key, and lets its owner in."""

    def __init__(self, public_key: bytes) -> None:
        self._public_key = public_key

    def callback(self, domain: str, key: bytes) -> bool:
        """Tell whether the owner of a key may come in; as `zmq.auth` wants it."""
        return key == self._public_key


def _packed(number: int, result: Any) -> list[Frame]:
    """Return a result, or the error that came instead, as an answer."""
    if isinstance(result, ParadoxError):
        return packed_failure(number, result)
    if isinstance(result, OSError):
        return packed_failure(number, StorageUnavailable(str(result)))
    if isinstance(result, Exception):
        _LOG.error("a call failed", exc_info=result)
        said = f"{type(result).__name__}: {result}"
        return packed_failure(number, InternalError(f"{said}; the log of the shard says where"))
    return packed_answer(number, result)
