"""Calls over sockets: what comes out, who gets in, and what happens when an end is not there."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event, Lock
from typing import Any

import numpy as np
import pytest
import zmq

from paradox.cluster.plane import Asked, Handler, Limits, Lines, PlaneAddress, PlaneServer
from paradox.cluster.plane.calls import packed_call, packed_giving_up
from paradox.cluster.wire import MalformedMessage
from paradox.core import errors
from paradox.core.errors import (
    DeadlineExceeded,
    InternalError,
    Overloaded,
    ParadoxError,
    ShardUnavailable,
)
from paradox.core.types import F32Matrix

SOON_S, LONG_S = 0.2, 10.0
RUNS = int(os.environ.get("PARADOX_FUZZ_RUNS", "30000"))


class Toy:
    """What a shard is to its callers, in small.

    Attributes:
        ran: arguments of `wait`, in the order they were begun.
        together: sizes of the groups that light calls were answered in.
        go_on: lets `wait` end.
    """

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.together: list[int] = []
        self.go_on = Event()
        self._lock = Lock()

    def handlers(self) -> dict[str, Handler]:
        return {
            "double": Handler(F32Matrix, self.doubled, lambda m: len(m) < 8, self.all_doubled),
            "wait": Handler(int, self.wait),
            "fail": Handler(str, self.fail),
        }

    def all_doubled(self, matrices: Any) -> list[F32Matrix]:
        self.together.append(len(matrices))
        return [self.doubled(matrix) for matrix in matrices]

    def doubled(self, matrix: Any) -> F32Matrix:
        if np.isinf(matrix).any():
            raise OverflowError("an infinite number")
        return 2 * matrix

    def wait(self, number: int) -> int:
        with self._lock:
            self.ran.append(number)
        self.go_on.wait(LONG_S)
        return number

    def fail(self, kind: str) -> None:
        raise EXAMPLES.get(kind) or ZeroDivisionError("a defect")


def every_error() -> dict[str, ParadoxError]:
    found: dict[str, ParadoxError] = {}
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, ParadoxError):
            is_corruption = issubclass(kind, errors.CorruptionError)
            found[name] = kind("said", "file", 3, "do this") if is_corruption else kind("said")
    return found


EXAMPLES = every_error()


@pytest.fixture
def toy() -> Iterator[Toy]:
    made = Toy()
    yield made
    made.go_on.set()


@contextmanager
def served(toy: Toy, **options: Any) -> Iterator[PlaneServer]:
    server = PlaneServer(toy.handlers(), **{"host": "127.0.0.1", **options})
    try:
        yield server
    finally:
        toy.go_on.set()
        server.close()


@pytest.fixture
def server(toy: Toy) -> Iterator[PlaneServer]:
    with served(toy) as made:
        yield made


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines(lambda shard: f"shard {shard}")
    yield made
    made.close()


@pytest.fixture
def reached(lines: Lines, server: PlaneServer) -> Lines:
    lines.reach(0, server.address)
    return lines


def call(
    lines: Lines, method: str, argument: Any, result: Any = int, *, timeout_s: float = LONG_S
) -> Any:
    return lines.call({0: Asked(method, argument, result)}, timeout_s=timeout_s)[0]


def doubled(lines: Lines, n_rows: int, *, timeout_s: float = LONG_S) -> Any:
    matrix = np.arange(4 * n_rows, dtype=np.float32).reshape(n_rows, 4)
    found = call(lines, "double", matrix, F32Matrix, timeout_s=timeout_s)
    if not isinstance(found, ParadoxError):
        np.testing.assert_array_equal(found, 2 * matrix)
    return found


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("n_rows", [0, 1, 8, 100_000])
def test_a_call_brings_its_result(reached: Lines, n_rows: int) -> None:
    assert doubled(reached, n_rows).shape == (n_rows, 4)


def test_several_shards_are_called_at_once_each_with_its_own_answer(lines: Lines) -> None:
    toys = [Toy() for _ in range(4)]
    servers = [PlaneServer(toy.handlers(), host="127.0.0.1") for toy in toys]
    for shard, server in enumerate(servers):
        lines.reach(shard, server.address)
        toys[shard].go_on.set()
    for _ in range(20):
        asked = {shard: Asked("wait", shard, int) for shard in range(4)}
        assert lines.call(asked, timeout_s=LONG_S) == {0: 0, 1: 1, 2: 2, 3: 3}
    for server in servers:
        server.close()


def test_many_threads_get_their_own_answers(reached: Lines) -> None:
    with ThreadPoolExecutor(16) as pool:
        for found in pool.map(lambda n: doubled(reached, 1 + n % 12), range(400)):
            assert isinstance(found, np.ndarray)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_errors_come_as_themselves(reached: Lines, kind: str) -> None:
    failed = call(reached, "fail", kind)
    assert type(failed) is type(EXAMPLES[kind])
    assert (failed.args, str(failed)) == (EXAMPLES[kind].args, str(EXAMPLES[kind]))


def test_a_defect_is_told_as_one(reached: Lines, caplog: pytest.LogCaptureFixture) -> None:
    failed = call(reached, "fail", "other")
    assert isinstance(failed, InternalError)
    assert "ZeroDivisionError: a defect" in str(failed)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        ("unknown", 1),
        ("wait", "a word"),
        ("double", 3),
        ("double", np.zeros((2, 2))),
        ("double", np.zeros((2, 2), np.int64)),
        ("double", [1, 2]),
    ],
)
def test_what_no_handler_takes_is_refused(reached: Lines, method: str, argument: Any) -> None:
    assert isinstance(call(reached, method, argument), MalformedMessage)
    assert len(doubled(reached, 3)) == 3


def test_an_answer_of_another_type_is_told_as_a_defect(reached: Lines, toy: Toy) -> None:
    toy.go_on.set()
    assert isinstance(call(reached, "wait", 3, str), InternalError)
    assert len(doubled(reached, 3)) == 3


def test_what_comes_too_late_is_given_up_and_not_taken_for_the_next_answer(
    reached: Lines, toy: Toy
) -> None:
    assert isinstance(call(reached, "wait", 1, timeout_s=SOON_S), DeadlineExceeded)
    toy.go_on.set()
    assert call(reached, "wait", 2) == 2
    assert toy.ran == [1, 2]


def test_calls_that_nobody_waits_for_are_not_begun(lines: Lines, toy: Toy) -> None:
    with served(toy, limits=Limits(workers=1)) as server, ThreadPoolExecutor(4) as pool:
        lines.reach(0, server.address)
        first = pool.submit(call, lines, "wait", 1)
        until(lambda: toy.ran == [1])
        late = [pool.submit(call, lines, "wait", n, timeout_s=SOON_S) for n in (2, 3)]
        assert all(isinstance(one.result(), DeadlineExceeded) for one in late)
        until(lambda: len(server._under_way) == 1)  # that they were given up has come
        toy.go_on.set()
        assert first.result() == 1
        assert call(lines, "wait", 4) == 4
    assert toy.ran == [1, 4]


@pytest.mark.parametrize("limits", [Limits(calls=2, workers=1), Limits(bytes=2, workers=1)])
def test_more_than_is_taken_on_is_refused_at_once(lines: Lines, toy: Toy, limits: Limits) -> None:
    with served(toy, limits=limits) as server, ThreadPoolExecutor(4) as pool:
        lines.reach(0, server.address)
        taken = [pool.submit(call, lines, "wait", 1)]
        until(lambda: toy.ran == [1])
        taken.append(pool.submit(call, lines, "wait", 2))
        until(lambda: len(server._under_way) == 2)
        refused = call(lines, "wait", 3)
        assert isinstance(refused, Overloaded)
        assert refused.retry_after_s > 0
        assert len(doubled(lines, 2)) == 2  # what is light needs no place
        toy.go_on.set()
        assert [one.result() for one in taken] == [1, 2]
        assert call(lines, "wait", 4) == 4
    assert toy.ran == [1, 2, 4]


def test_light_calls_that_pile_up_are_answered_together_and_one_that_fails_fails_alone(
    lines: Lines, toy: Toy
) -> None:
    handlers = toy.handlers()
    handlers["pause"] = Handler(int, toy.wait, lambda _: True)
    server = PlaneServer(handlers, host="127.0.0.1")
    lines.reach(0, server.address)
    with ThreadPoolExecutor(9) as pool:
        paused = pool.submit(call, lines, "pause", 1)
        until(lambda: toy.ran == [1])
        piled = [pool.submit(doubled, lines, 1 + n) for n in range(6)]
        infinite = np.full((1, 4), np.inf, np.float32)
        failing = pool.submit(call, lines, "double", infinite, F32Matrix)
        time.sleep(SOON_S)
        toy.go_on.set()
        assert paused.result() == 1
        assert [len(one.result()) for one in piled] == [1, 2, 3, 4, 5, 6]
        assert isinstance(failing.result(), InternalError)
    assert max(toy.together) > 1
    server.close()


def test_a_shard_that_goes_is_noticed_at_once_and_found_where_it_is_again(
    lines: Lines, toy: Toy
) -> None:
    with served(toy) as server, ThreadPoolExecutor(1) as pool:
        lines.reach(0, server.address)
        under_way = pool.submit(call, lines, "wait", 1)
        until(lambda: toy.ran == [1])
        start = time.monotonic()
        server.close()
        assert isinstance(under_way.result(), ShardUnavailable)
        assert isinstance(doubled(lines, 1), ShardUnavailable)
        assert time.monotonic() - start < LONG_S / 2
    with served(toy) as again:
        lines.reach(0, again.address)
        assert len(doubled(lines, 1)) == 1
    lines.reach(0, None)
    assert isinstance(doubled(lines, 1), ShardUnavailable)


def test_where_nobody_listens_no_deadline_is_waited_for(lines: Lines, server: PlaneServer) -> None:
    gone = server.address
    server.close()
    lines.reach(0, gone)
    start = time.monotonic()
    assert isinstance(doubled(lines, 1), ShardUnavailable)
    assert time.monotonic() - start < LONG_S / 2


def test_a_message_beyond_the_limit_is_not_taken_in(lines: Lines, toy: Toy) -> None:
    with served(toy, limits=Limits(message_bytes=10_000)) as server:
        lines.reach(0, server.address)
        assert len(doubled(lines, 500)) == 500
        assert isinstance(doubled(lines, 5_000), ShardUnavailable)
        assert len(doubled(lines, 500)) == 500


def raw(address: PlaneAddress, *, secret: bytes | None, public: bytes = b"") -> zmq.Socket[bytes]:
    """A socket of one who speaks to a shard without `Lines`."""
    made = zmq.Context.instance().socket(zmq.DEALER)
    made.setsockopt(zmq.LINGER, 0)
    made.setsockopt(zmq.SNDTIMEO, 10_000)
    made.setsockopt(zmq.RCVTIMEO, 10_000)
    if secret is not None:
        made.curve_serverkey = address.server_key
        made.curve_publickey = public
        made.curve_secretkey = secret
    made.connect(address.endpoint)
    return made


def test_nobody_gets_in_without_the_key(reached: Lines, server: PlaneServer) -> None:
    address = server.address
    other_public, other_secret = zmq.curve_keypair()
    message = packed_call(1, "double", np.zeros((1, 4), np.float32), timeout_s=5.0)
    for known, is_in in [
        ({"secret": None}, False),
        ({"secret": other_secret, "public": other_public}, False),
        ({"secret": address.client_secret, "public": address.client_public}, True),
    ]:
        with raw(address, **known) as stranger:
            if is_in:
                stranger.send_multipart(message)
                assert stranger.recv_multipart()
            else:
                with suppress(zmq.Again):  # one refused already has nowhere to send to
                    stranger.send_multipart(message, zmq.NOBLOCK)
                assert not stranger.poll(300)
    assert "secret" not in repr(address)
    assert address.client_secret.decode() not in repr(address)
    assert len(doubled(reached, 1)) == 1


def test_malformed_messages_harm_nobody(reached: Lines, server: PlaneServer, toy: Toy) -> None:
    """As many as PARADOX_FUZZ_RUNS says, of one who has the key."""
    toy.go_on.set()
    draw = random.Random(3)
    address = server.address
    whole = [
        packed_call(1, "double", np.ones((2, 4), np.float32), timeout_s=5.0),
        packed_call(2, "wait", 7, timeout_s=5.0),
        packed_giving_up(2),
    ]
    with raw(address, secret=address.client_secret, public=address.client_public) as stranger:
        for run in range(RUNS):
            frames = [bytes(frame) for frame in draw.choice(whole)]
            match draw.randrange(4):
                case 0:
                    frames[draw.randrange(len(frames))] = draw.randbytes(draw.randrange(40))
                case 1:
                    del frames[draw.randrange(len(frames))]
                case 2:
                    frames += [draw.randbytes(8)] * draw.choice([1, 2, 70])
                case 3:
                    at = draw.randrange(len(frames))
                    damaged = bytearray(frames[at] or b"\0")
                    damaged[draw.randrange(len(damaged))] = draw.randrange(256)
                    frames[at] = bytes(damaged)
            stranger.send_multipart(frames or [b""])
            if run % 100 == 0:
                while stranger.poll(0):
                    stranger.recv_multipart()
                assert len(doubled(reached, 3)) == 3
    assert len(doubled(reached, 9)) == 9


def test_ipv6(lines: Lines, toy: Toy) -> None:
    with served(toy, host="::1") as server:
        assert "[::1]" in server.address.endpoint
        lines.reach(0, server.address)
        assert len(doubled(lines, 1)) == 1
