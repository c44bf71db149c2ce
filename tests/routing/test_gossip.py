"""Shards that tell each other what they hold, and notice who has fallen silent."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated_network import SimulatedNetwork
from paradox.routing.gossip import READER, Gossip, GossipSettings, Ping, Pong, TryFor
from paradox.routing.knowledge import NEVER, Knowledge
from paradox.routing.suspicion import Status

SETTINGS = GossipSettings(awake_s=math.inf)


def group(n_members: int, **options: Any) -> SimulatedNetwork:
    """Members that have all heard of each other."""
    network = SimulatedNetwork(n_members, settings=SETTINGS, seed=7, **options)
    network.run(2.0)
    return network


def all_hold(
    network: SimulatedNetwork, member: int, status: Status, *, but: tuple[int, ...] = ()
) -> Callable[[], bool]:
    """Whether all others hold this of a member."""
    others = [gossip for gossip in network.members if gossip.member not in (member, *but)]
    return lambda: all(gossip.status(member) is status for gossip in others)


def summaries(gossip: Gossip) -> list[bytes | None]:
    """What a member knows that all hold."""
    told = [gossip.knowledge.told_by(member) for member in gossip.members]
    return [None if one is None else one.summary for one in told]


def test_what_one_publishes_all_know_soon_after() -> None:
    network = group(32)
    for member in (3, 17, 3):
        summary = b"of %d at %f" % (member, network.now)
        network.members[member].publish(summary)
        took_s = network.run(
            2.0,
            until=lambda m=member, s=summary: all(summaries(g)[m] == s for g in network.members),
        )
        assert took_s <= 5 * SETTINGS.period_s


def test_loads_and_health_are_those_last_told() -> None:
    network = group(8)
    network.members[5].tell(load=12.0, healthy=False)
    network.run(0.6)
    for gossip in network.members:
        assert gossip.knowledge.loads[5] == 12.0
        assert gossip.knowledge.healthy[:8].tolist() == [member != 5 for member in range(8)]


def test_a_silent_member_is_suspected_within_a_second_dead_in_bounded_time_and_back_at_once() -> (
    None
):
    network = group(16)
    network.stop(4)
    assert network.run(5.0, until=all_hold(network, 4, Status.SUSPECT)) <= 1.0
    assert network.run(9.0, until=all_hold(network, 4, Status.DEAD)) <= SETTINGS.longest_s + 1.0
    network.go_on(4)
    assert network.run(5.0, until=all_hold(network, 4, Status.ALIVE)) <= 3.0


def test_nobody_is_held_dead_because_messages_are_lost() -> None:
    network = group(16, loss=0.2)
    seen = set()
    network.run(
        60.0,
        until=lambda: seen.update(g.status(m) for g in network.members for m in range(16)) or False,
    )
    assert Status.DEAD not in seen


def test_clocks_an_hour_apart_do_no_harm() -> None:
    network = group(8, skew_s=3600.0)
    for gossip in network.members:
        assert {gossip.status(member) for member in range(8)} == {Status.ALIVE}
    network.members[1].publish(b"new")
    network.run(0.6)
    assert all(summaries(gossip)[1] == b"new" for gossip in network.members)


def test_one_that_stood_still_holds_it_against_nobody() -> None:
    network = group(8)
    network.stop(2)
    network.run(30.0)
    network.go_on(2)
    network.run(0.001)
    assert {network.members[2].status(member) for member in range(8)} == {Status.ALIVE}
    network.run(3.0)
    for gossip in network.members:
        assert {gossip.status(member) for member in range(8)} == {Status.ALIVE}


def test_groups_that_were_parted_meet_again() -> None:
    network = group(10)
    network.part(range(5), range(5, 10))
    network.run(8.0)
    for gossip in network.members:
        other_side = {gossip.status(m) for m in range(10) if (m < 5) != (gossip.member < 5)}
        assert other_side == {Status.DEAD}
    network.members[0].publish(b"meanwhile")
    network.part()
    network.run(5.0)
    for gossip in network.members:
        assert {gossip.status(member) for member in range(10)} == {Status.ALIVE}
        assert summaries(gossip)[0] == b"meanwhile"


def test_one_that_another_alone_cannot_reach_is_not_suspected() -> None:
    network = group(6)
    reach = network._send
    network._send = lambda a, sent: None if {a, sent[0]} == {0, 1} else reach(a, sent)  # type: ignore[method-assign]
    seen = set()
    network.run(
        20.0, until=lambda: seen.update(network.members[0].status(m) for m in (1, 2)) or False
    )
    assert seen == {Status.ALIVE}


def test_a_later_life_outdates_the_former_which_learns_of_it() -> None:
    network = group(6)
    former = network.members[3]
    former.publish(b"former")
    network.run(0.6)
    network.restart(3, life=2)
    network.members[3].publish(b"later")
    network.run(0.6)
    assert all(summaries(gossip)[3] == b"later" for gossip in network.members)
    late = former._ping(network.now)
    network.members[0].receive(late, network.now + 1)
    assert summaries(network.members[0])[3] == b"later"
    assert not network.members[3].is_outdated
    [(_, answer)] = network.members[0].receive(late, network.now + 1)
    former.receive(answer, network.now + 1)
    assert former.is_outdated
    stamp = former.knowledge.stamp_of(3)
    former.tick(network.now + 2)
    assert former.knowledge.stamp_of(3) == stamp


def test_one_that_has_left_comes_back_only_in_a_later_life() -> None:
    network = group(4)
    late = network.members[1]._ping(network.now)
    for gossip in (network.members[0], network.members[2], network.members[3]):
        gossip.forget(1)
    network.stop(1)
    network.members[0].receive(late, network.now + 1)
    network.run(3.0)
    for member in (0, 2, 3):
        assert network.members[member].members == [0, 2, 3]
        assert network.members[member].status(1) is Status.ALIVE
        assert 1 not in network.members[member].knowledge.members()
    network.restart(1, life=2)
    network.run(1.0)
    for gossip in network.members:
        assert gossip.members == [0, 1, 2, 3]


def test_a_reader_gets_what_it_does_not_know_and_is_no_member() -> None:
    network = group(4)
    network.members[1].publish(b"held")
    network.run(0.6)
    known = Knowledge()
    ping = Ping(READER, known.beats(), known.summaries(), ())
    [(to, pong)] = network.members[2].receive(ping, network.now + 1)
    assert isinstance(pong, Pong)
    assert (to, sorted(pong.beats.members)) == (READER, [0, 1, 2, 3])
    assert [one.summary for one in pong.told] == [b"held"]
    known.take_beats(pong.beats, 0.0)
    known.take_told(pong.told)
    again = Ping(READER, known.beats(), known.summaries(), ())
    [(_, pong)] = network.members[2].receive(again, network.now + 1)
    assert isinstance(pong, Pong)
    assert (pong.beats.members.tolist(), pong.told) == ([2], ())
    assert network.members[2].members == [0, 1, 2, 3]


def test_summaries_that_do_not_fit_into_a_message_go_in_later_ones() -> None:
    small = GossipSettings(limit_bytes=1_000)
    network = SimulatedNetwork(3, settings=small, seed=1)
    for gossip in network.members:
        gossip.publish(bytes(900))
    network.run(0.05)
    pongs = network.members[0].receive(Ping(READER, *nothing(), ()), 2.0)
    assert len(pongs[0][1].told) == 1  # type: ignore[union-attr]
    network.run(3.0)
    assert all(summaries(gossip) == [bytes(900)] * 3 for gossip in network.members)


def test_nobody_tries_for_another_to_reach_whom_it_does_not_know() -> None:
    lonely = Gossip(0, 1, settings=SETTINGS, random=Random(0))
    assert lonely.receive(TryFor(1, 9), 0.0) == []


def nothing() -> tuple:
    """What is known at first."""
    return Knowledge().beats(), Knowledge().summaries()


happening = st.one_of(
    st.tuples(st.just("run"), st.floats(0.05, 3.0)),
    st.tuples(st.sampled_from(["stop", "go on", "restart", "publish", "part"]), st.integers(0, 5)),
)


def sleepers(n_members: int, **options: Any) -> SimulatedNetwork:
    """A group that nobody has read for so long that it sleeps."""
    network = SimulatedNetwork(n_members, settings=GossipSettings(), seed=7, **options)
    network.run(15.0)
    return network


def n_sent(network: SimulatedNetwork, for_s: float) -> int:
    before = network.n_messages
    network.run(for_s)
    return network.n_messages - before


@pytest.mark.parametrize("delay_s", [(0.0005, 0.003), (0.02, 0.07)])
def test_a_group_that_nobody_reads_sleeps_and_a_reader_wakes_all_at_once(
    delay_s: tuple[float, float],
) -> None:
    network = sleepers(16, delay_s=delay_s)
    asleep, awake = n_sent(network, 20.0), n_sent(group(16, delay_s=delay_s), 20.0)
    assert asleep < awake / 15
    network.read(3)
    assert n_sent(network, 4 * delay_s[1] + 0.04) >= 3 * 16  # each has a round
    assert n_sent(network, 4.0) > 0.9 * awake / 5
    network.run(10.0)
    assert n_sent(network, 20.0) < awake / 15


def test_what_is_published_and_who_falls_silent_wakes_those_who_sleep() -> None:
    network = sleepers(16)
    network.members[5].publish(b"new")
    assert (
        network.run(9.0, until=lambda: all(summaries(g)[5] == b"new" for g in network.members))
        <= 3.0
    )
    network.run(15.0)
    network.stop(4)
    assert network.run(9.0, until=all_hold(network, 4, Status.SUSPECT)) <= 4.0
    network.run(30.0)
    network.go_on(4)
    assert network.run(9.0, until=all_hold(network, 4, Status.ALIVE)) <= 4.0


def test_nobody_is_held_dead_by_those_who_sleep() -> None:
    network = sleepers(8, loss=0.2)
    before = network.n_messages
    seen = set()
    network.run(
        60.0,
        until=lambda: seen.update(g.status(m) for g in network.members for m in range(8)) or False,
    )
    assert Status.DEAD not in seen
    assert network.n_messages - before < n_sent(group(8, loss=0.2), 60.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(happening, max_size=12), st.integers(0, 1000))
def test_whatever_happens_all_agree_in_the_end(happenings: list, seed: int) -> None:
    network = SimulatedNetwork(6, settings=SETTINGS, seed=seed, loss=0.1, skew_s=100.0)
    last = [b"first"] * 6
    for gossip in network.members:
        gossip.publish(b"first")
    lives = [1] * 6
    stamps = np.full((6, 6), NEVER)
    for what, of in [*happenings, ("part", 0), *(("go on", m) for m in range(6)), ("run", 9.0)]:
        match what:
            case "run":
                network.run(of)
            case "stop":
                network.stop(of)
            case "go on":
                network.go_on(of)
            case "restart":
                lives[of] += 1
                network.restart(of, lives[of])
                network.members[of].publish(last[of])
                stamps[of] = NEVER
            case "publish":
                last[of] = b"%d" % network.n_messages
                network.members[of].publish(last[of])
            case "part":
                network.part(range(of), range(of, 6))
        now = [[gossip.knowledge.stamp_of(m) for m in range(6)] for gossip in network.members]
        assert (np.array(now) >= stamps).all()
        stamps = np.maximum(stamps, now)
    for gossip in network.members:
        assert summaries(gossip) == last
        assert {gossip.status(member) for member in range(6)} == {Status.ALIVE}
        assert not gossip.is_outdated
