"""Members that gossip over real sockets, in one process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from paradox.cluster import wire
from paradox.cluster.plane import Asked, Lines, PlaneServer
from paradox.cluster.plane.gossiping import Gossiping, check
from paradox.cluster.wire import MalformedMessage
from paradox.routing.gossip import READER, Gossip, GossipSettings, News, Ping, Pong, TryFor
from paradox.routing.knowledge import Beats, Knowledge, Stamps, Told
from paradox.routing.suspicion import Status, Suspicion

PATIENCE_S = 15.0
SETTINGS = GossipSettings(shortest_s=0.5, longest_s=2.0)


class Member:
    """A member with its sockets."""

    def __init__(self, number: int, life: int, group: list[Member]) -> None:
        self.number = number
        gossip = Gossip(number, life, settings=SETTINGS, random=Random(number))
        gossip.meet(range(3))
        self.server = PlaneServer({}, host="127.0.0.1")
        self.gossiping = Gossiping(gossip, self.server.address, find=lambda _: None)
        self.server.learn(self.gossiping.handlers())
        for other in group:
            self.gossiping.reach(other.number, other.server.address)
        self.gossiping.start()

    def status(self, member: int) -> Status:
        return self.gossiping.with_gossip(lambda gossip: gossip.status(member))

    def summary(self, member: int) -> bytes | None:
        told = self.gossiping.with_gossip(lambda gossip: gossip.knowledge.told_by(member))
        return None if told is None else told.summary

    def publish(self, summary: bytes) -> None:
        self.gossiping.with_gossip(lambda gossip: gossip.publish(summary))

    def close(self) -> None:
        self.gossiping.close()
        self.server.close()


@pytest.fixture
def group() -> Iterator[list[Member]]:
    """Three members, of which each knows where those answer that were there before it."""
    members: list[Member] = []
    for number in range(3):
        members.append(Member(number, 1, members))
    yield members
    for member in members:
        member.close()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_members_tell_each_other_what_they_hold(group: list[Member]) -> None:
    for member in group:
        member.publish(b"of %d" % member.number)
    until(lambda: all(one.summary(m) == b"of %d" % m for one in group for m in range(3)))


def test_one_that_goes_is_dead_soon_and_found_again_where_it_comes_back(
    group: list[Member],
) -> None:
    until(
        lambda: all(
            len(one.gossiping.with_gossip(lambda gossip: gossip.knowledge.members())) == 3
            for one in group
        )
    )
    group[2].close()
    until(lambda: all(one.status(2) is Status.DEAD for one in group[:2]))
    group[2] = Member(2, 2, group[:2])
    group[2].publish(b"again")
    until(lambda: all(one.summary(2) == b"again" for one in group))
    until(lambda: all(one.status(m) is Status.ALIVE for one in group for m in range(3)))


def test_a_reader_asks_any_of_them(group: list[Member]) -> None:
    group[1].publish(b"held")
    until(lambda: group[2].summary(1) == b"held")
    lines = Lines(str)
    lines.reach(2, group[2].server.address)
    known = Knowledge()
    ping = Ping(READER, known.beats(), known.summaries(), ())
    pong = lines.call({2: Asked("ping", (None, ping), Pong)}, timeout_s=PATIENCE_S)[2]
    assert [told.summary for told in pong.told] == [b"held"]
    lines.close()


NOTHING = Knowledge().beats()
NO_STAMPS = Knowledge().summaries()


def beats(members: list[int], stamps: list[int], load: float = 0.0) -> Beats:
    m = len(members)
    return Beats(
        np.array(members, np.int64),
        np.array(stamps, np.int64),
        np.full(m, load, np.float32),
        np.ones(m, np.bool_),
        np.zeros(m, np.int64),
    )


@pytest.mark.parametrize(
    "message",
    [
        TryFor(-1, 2),
        TryFor(1, 1 << 40),
        Ping(-2, NOTHING, NO_STAMPS, ()),
        Ping(1, beats([1, 1], [3, 4]), NO_STAMPS, ()),
        Ping(1, beats([1, 2], [3]), NO_STAMPS, ()),
        Ping(1, beats([1], [-7]), NO_STAMPS, ()),
        Ping(1, beats([1], [3], float("nan")), NO_STAMPS, ()),
        Ping(1, beats([70_000], [3]), NO_STAMPS, ()),
        Ping(1, NOTHING, Stamps(np.array([1 << 50]), np.array([1])), ()),
        Ping(1, NOTHING, NO_STAMPS, (Suspicion(1 << 50, 3, frozenset([1])),)),
        Pong(-1, NOTHING, (), np.zeros(0, np.int64), ()),
        Pong(1, NOTHING, (), np.array([-3]), ()),
        News(1, NOTHING, (Told(-4, 1, b""),)),
    ],
)
def test_messages_that_cannot_be_are_refused(group: list[Member], message: Any) -> None:
    with pytest.raises(MalformedMessage):
        check(message)
    method = {Ping: "ping", News: "news", TryFor: "try_for"}.get(type(message))
    if method is None:
        return
    lines = Lines(str)
    lines.reach(0, group[0].server.address)
    argument = (None, message) if method == "ping" else message
    reply = lines.call({0: Asked(method, argument, Pong | None)}, timeout_s=PATIENCE_S)[0]
    assert isinstance(reply, MalformedMessage)
    lines.close()


def test_every_message_comes_out_as_it_went_in() -> None:
    suspicion = Suspicion(3, 7, frozenset([1, 2]), dead=True)
    for message in (
        Ping(1, beats([0, 4], [5, 6]), Stamps(np.array([4]), np.array([2])), (suspicion,)),
        Pong(1, NOTHING, (Told(3, 4, b"\xff"),), np.array([2, 3]), (suspicion,)),
        News(1, beats([9], [1 << 41]), (Told(0, 1, b""),)),
        TryFor(1, 2),
    ):
        check(message)
        out = wire.unpack(wire.pack(message), type(message))
        for field in dataclasses.fields(message):
            before, after = getattr(message, field.name), getattr(out, field.name)
            if isinstance(before, Beats | Stamps):
                assert_equal = np.testing.assert_array_equal
                for name in before.__slots__:
                    assert_equal(getattr(after, name), getattr(before, name))
            elif isinstance(before, np.ndarray):
                np.testing.assert_array_equal(after, before)
            else:
                assert after == before
