"""How fast gossip spreads and notices silence, in virtual time, on a network that loses messages.

The state machine is the one that shards run, of a group that is read all the time. A round is a
period of its settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.report import Row, progress, row
from benchmarks.simulated_network import SimulatedNetwork
from paradox.routing.gossip import GossipSettings
from paradox.routing.suspicion import Status

SETTINGS = GossipSettings(awake_s=math.inf)
BYPASSED_S, OLD_SHARE = 1.0, 0.01
LOAD_OLD_S, SUMMARY_OLD_S = 1.0, 2.0
_SETTLED_S = 2.0
_LONG_S = 10.0
_PUBLISH_S = 0.5


@dataclass(frozen=True, slots=True)
class Case:
    """A group on a network.

    Attributes:
        members: how many there are.
        loss: share of messages that are lost.
        trials: summaries published, and a third as many members that fall silent.
        rounds: in which 99 of 100 summaries are to be known to all; None without a goal.
        seed: of everything that is drawn.
    """

    members: int
    loss: float
    trials: int
    rounds: float | None = None
    seed: int = 0

    @property
    def title(self) -> str:
        """What it is called in a report."""
        return f"gossip: {self.members:,} members, {self.loss:.0%} lost"

    def settled(self) -> SimulatedNetwork:
        """Return the group once all have met."""
        network = SimulatedNetwork(self.members, settings=SETTINGS, seed=self.seed, loss=self.loss)
        network.run(_SETTLED_S)
        return network


def rows(case: Case) -> Iterator[Row]:
    """Yield how long summaries take to all, and until a silent member is passed by."""
    progress(case.title)
    network = case.settled()
    rng = np.random.default_rng(case.seed)
    took = [_spread(network, int(rng.integers(case.members))) for _ in range(case.trials)]
    median, late = np.percentile(took, [50, 99]) / SETTINGS.period_s
    yield row(case.title, "rounds until all know, p50", median)
    yield row(case.title, "p99", late, target=case.rounds, better="less")
    silent = [
        _silence(network, int(rng.integers(case.members))) for _ in range(max(case.trials // 3, 1))
    ]
    suspected, dead = np.max(silent, axis=0)
    figure = "silent one suspected by all, s, most"
    yield row(case.title, figure, suspected, target=BYPASSED_S, better="less")
    yield row(case.title, "held dead by all, s, most", dead)


def ages(case: Case, for_s: float) -> Iterator[Row]:
    """Yield how often what is known is old, of members that publish twice a second."""
    progress(f"{case.title}: ages, {for_s:g} s")
    network = case.settled()
    told_at = np.full(case.members, network.now)
    stamps = [{0: network.now} for _ in range(case.members)]  # of each member: stamp to when
    old_loads = old_summaries = looks = 0
    for _ in range(round(for_s / _PUBLISH_S)):
        for member, gossip in enumerate(network.members):
            gossip.publish(b"summary")
            told = gossip.knowledge.told_by(member)
            assert told is not None
            stamps[member][told.stamp] = told_at[member] = network.now
        network.run(_PUBLISH_S)
        for gossip in network.members:
            loads, summaries = _ages(network, gossip.member, stamps)
            old_loads += int((loads > LOAD_OLD_S).sum())
            old_summaries += int((summaries > SUMMARY_OLD_S).sum())
            looks += case.members
    for what, limit_s, old in (
        ("loads", LOAD_OLD_S, old_loads),
        ("summaries", SUMMARY_OLD_S, old_summaries),
    ):
        figure = f"share of {what} older than {limit_s:g} s"
        yield row(case.title, figure, old / looks, target=OLD_SHARE, better="less")


def deaths(case: Case, rounds: int) -> Iterator[Row]:
    """Yield how often members are suspected and held dead although all are there.

    Args:
        case: the group.
        rounds: of single members, in all.
    """
    for_s = rounds * SETTINGS.period_s / case.members
    progress(f"{case.title}: {rounds:,} rounds, nobody falls silent")
    network = case.settled()
    suspected: set[tuple[int, int]] = set()
    dead: set[tuple[int, int]] = set()

    def look() -> bool:
        for gossip in network.members:
            for member in range(case.members):
                status = gossip.status(member)
                if status is not Status.ALIVE:
                    suspected.add((gossip.member, member))
                if status is Status.DEAD:
                    dead.add((gossip.member, member))
        return False

    network.run(for_s, until=look)
    title = f"{case.title}, {rounds:,} rounds"
    yield row(title, "suspected although there", len(suspected))
    yield row(title, "held dead although there", len(dead), target=0, better="less")


def _spread(network: SimulatedNetwork, member: int) -> float:
    """Return the seconds until all know what a member publishes now."""
    author = network.members[member]
    author.publish(b"a summary")
    own = author.knowledge.told_by(member)
    assert own is not None

    def all_know() -> bool:
        known = (gossip.knowledge.told_by(member) for gossip in network.members)
        return all(told is not None and told.stamp >= own.stamp for told in known)

    return network.run(_LONG_S, until=all_know)


def _silence(network: SimulatedNetwork, member: int) -> tuple[float, float]:
    """Stop a member; return the seconds until all suspect it, and until all hold it dead."""
    others = [gossip for gossip in network.members if gossip.member != member]

    def until_all(*wanted: Status) -> float:
        return network.run(_LONG_S, until=lambda: all(g.status(member) in wanted for g in others))

    network.stop(member)
    suspected = until_all(Status.SUSPECT, Status.DEAD)
    dead = suspected + until_all(Status.DEAD)
    network.go_on(member)
    until_all(Status.ALIVE)
    network.run(_SETTLED_S)
    return suspected, dead


def _ages(
    network: SimulatedNetwork, observer: int, stamps: list[dict[int, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return how old what a member knows of each is, in seconds: loads, and summaries."""
    knowledge = network.members[observer].knowledge
    loads = network.clock(observer) - knowledge.heard_at[: len(stamps)]
    summaries = np.zeros(len(stamps))
    for member, published in enumerate(stamps):
        told = knowledge.told_by(member)
        summaries[member] = network.now - published.get(told.stamp if told else 0, -np.inf)
    return loads, summaries
