"""How shards tell each other what they hold and how they are, and notice who has fallen silent.

Each round a member exchanges what it knows with a few others (push-pull): a `Ping` carries all
beats, its `Pong` those that were news, and summaries go where they are missing. An exchange is a
probe too. Where nothing came of one, others are asked to try (SWIM: Das and others, DSN 2002);
who is not heard of by then, in whatever way, is suspected, and dead after a while
(`suspicion`). A member that hears nothing from anyone takes itself to be the slow one and waits
longer (Lifeguard: Dadgar and others, DSN 2018), and one that was stopped for a while suspects
nobody for it.

A group that nobody reads falls asleep: rounds are rare then. A reader wakes the member that it
asks, a suspicion who comes to it, and what these send wakes the others.

A pure state machine: it is given messages and the time, and returns what to send.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

import numpy as np

from paradox.core.types import I64Vector
from paradox.routing.knowledge import NEVER, Beats, Knowledge, Stamps, Told, stamp
from paradox.routing.suspicion import Status, Suspicion, Suspicions

READER = -1
"""The sender of pings that is no member: it wants to know what a member knows."""


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """How often, to how many, and how patient.

    Attributes:
        period_s: from one round to the next.
        asleep_period_s: the same while nobody reads, publishes, or is suspected.
        awake_s: how long after any of these that begins.
        jitter: share of it by which rounds are moved at random.
        fan_out: exchanges of a round, and members asked to try a probe again.
        patience_s: what an exchange may take before others are asked, and once more after that.
        shortest_s: how long a suspicion lasts that several came to.
        longest_s: how long one lasts that one member alone has.
        limit_bytes: of the summaries of a message; one goes whatever its size.
    """

    period_s: float = 0.1
    asleep_period_s: float = 2.0
    awake_s: float = 5.0
    jitter: float = 0.2
    fan_out: int = 3
    patience_s: float = 0.15
    shortest_s: float = 1.0
    longest_s: float = 4.0
    limit_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Ping:
    """What the sender knows, and for how long it is awake; to be answered with what it does not."""

    sender: int
    beats: Beats
    summaries: Stamps
    suspicions: tuple[Suspicion, ...]
    awake_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Pong:
    """What the sender of a ping did not know, whose summaries are wanted of it, how long awake."""

    sender: int
    beats: Beats
    told: tuple[Told, ...]
    wanted: I64Vector
    suspicions: tuple[Suspicion, ...]
    awake_s: float = 0.0


@dataclass(frozen=True, slots=True)
class News:
    """What somebody wanted: summaries, or a beat of a member that it does not reach."""

    sender: int
    beats: Beats
    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class TryFor:
    """Wants the receiver to try to reach a member, and to tell of it."""

    sender: int
    member: int


Message: TypeAlias = Ping | Pong | News | TryFor
Sent: TypeAlias = tuple[int, Message]
"""To whom, and what."""

_MOST_SLOWED = 8
_TO_THE_DEAD = 0.1
"""How often a round has an exchange with one that is dead, so that parted groups meet again."""


@dataclass(slots=True)
class _Probe:
    """An exchange of which nothing came yet: what was known, when it began, whether others try."""

    stamp: int
    began_at: float
    others_try: bool = False


class Gossip:
    """One member of the group.

    Args:
        member: its number.
        life: which life of the member this is, greater than any before.
        settings: the same for all members.
        random: picks partners, and moves rounds.
    """

    def __init__(self, member: int, life: int, *, settings: GossipSettings, random: Random) -> None:
        self.member = member
        self.knowledge = Knowledge()
        self._life = life
        self._version = 0
        self._settings = settings
        self._random = random
        self._load = 0.0
        self._healthy = True
        self._n_live = NEVER
        self._suspicions = Suspicions(longest_s=settings.longest_s, shortest_s=settings.shortest_s)
        self._met: set[int] = set()
        self._pool: list[int] = []
        self._probes: dict[int, _Probe] = {}
        self._tried_for: dict[int, set[int]] = {}
        self._slowed = 0
        self._answered_at = -math.inf
        self._round_at = -math.inf
        self._ticked_at = -math.inf
        self._tick_due_at = math.inf
        self._awake_until = -math.inf
        self._has_news = True

    @property
    def is_outdated(self) -> bool:
        """Tell whether there is a later life of this member: this one must stop."""
        return self.knowledge.stamp_of(self.member) > stamp(self._life, self._version)

    @property
    def members(self) -> list[int]:
        """All members that are known of, dead or alive."""
        return sorted(self._met | {self.member})

    def status(self, member: int) -> Status:
        """Return what is held of a member."""
        return self._suspicions.status(member)

    def meet(self, members: Iterable[int]) -> None:
        """Have exchanges with these members too."""
        self._met |= set(members) - {self.member}

    def forget(self, member: int) -> None:
        """Let go of a member that has left for good, or until a later life of it is met."""
        self.knowledge.forget(member)
        self._suspicions.drop(member)
        self._met.discard(member)
        self._probes.pop(member, None)

    def tell(self, *, load: float, healthy: bool, n_live: int = NEVER) -> None:
        """Say how this member is, and how many records it has; it goes out with the next beat."""
        self._load, self._healthy, self._n_live = load, healthy, n_live

    def publish(self, summary: bytes) -> None:
        """Say what this member holds."""
        self._version += 1
        self.knowledge.take_told([Told(self.member, self._stamp, summary)])
        self._has_news = True

    def due_at(self) -> float:
        """Return when `tick` has something to do, if no message comes before."""
        return min([self._round_at, *map(self._runs_out_at, self._probes.values())])

    def tick(self, now: float) -> list[Sent]:
        """Do what is due, and return what to send.

        Args:
            now: seconds, of a clock that only runs forward.
        """
        self._note_pause(now)
        if self._has_news:
            self._stay_awake(self._settings.awake_s, now)
            self._has_news = False
        sent = self._go_on_with_probes(now)
        self._suspicions.settle(self.knowledge.stamps, now)
        if now >= self._round_at:
            sent += self._round(now)
        self._tick_due_at = self.due_at()
        return sent

    def receive(self, message: Message, now: float) -> list[Sent]:
        """Take a message in, and return what to send."""
        if isinstance(message, TryFor):
            return self._try_for(message, now)
        self._take_beats(message.beats, now)
        if not isinstance(message, News):
            self._suspicions.take(message.suspicions, self.knowledge.stamps, now)
            is_read = message.sender == READER
            left_s = message.awake_s - self._settings.patience_s  # it may have taken so long
            self._stay_awake(self._settings.awake_s if is_read else left_s, now)
        if isinstance(message, Ping):
            self._beat(now)  # an answer shows that this member is there
            return [(message.sender, self._pong(message, now))]
        self.knowledge.take_told(message.told)
        if isinstance(message, News):
            return []
        self._answered_at = now
        self._slowed = max(self._slowed - 1, 0)
        return self._answers_to(message)

    @property
    def _stamp(self) -> int:
        return stamp(self._life, self._version)

    def _stay_awake(self, for_s: float, now: float) -> None:
        """Be awake for some time from now on, and have a round at once after sleep."""
        if for_s <= 0:
            return
        if now >= self._awake_until:
            self._round_at = min(self._round_at, now)
        until = now + min(for_s, self._settings.awake_s)
        self._awake_until = max(self._awake_until, until)

    def _awake_s(self, now: float) -> float:
        return max(self._awake_until - now, 0.0)

    def _beat(self, now: float) -> None:
        """Tell anew how this member is, unless a later life does."""
        if self.is_outdated:
            return
        self._version += 1
        own = Beats(
            np.array([self.member]),
            np.array([self._stamp]),
            np.array([self._load], np.float32),
            np.array([self._healthy]),
            np.array([self._n_live]),
        )
        self.knowledge.take_beats(own, now)

    def _take_beats(self, beats: Beats, now: float) -> None:
        news = self.knowledge.take_beats(beats, now)
        self.meet(news.tolist())

    def _round(self, now: float) -> list[Sent]:
        settings = self._settings
        moved = 1 + settings.jitter * (2 * self._random.random() - 1)
        is_awake = now < self._awake_until
        period_s = settings.period_s if is_awake else settings.asleep_period_s
        self._round_at = now + period_s * moved
        self._beat(now)
        sent: list[Sent] = []
        ping = self._ping(now)
        for member in self._partners():
            sent.append((member, ping))
            if member not in self._probes and self.status(member) is not Status.DEAD:
                self._probes[member] = _Probe(self.knowledge.stamp_of(member), now)
        return sent

    def _note_pause(self, now: float) -> None:
        """Hold against nobody what was not heard while this process stood still."""
        if now - self._tick_due_at > self._settings.patience_s:
            self._probes.clear()
            self._suspicions.pause(now - self._ticked_at)
        self._ticked_at = now

    def _runs_out_at(self, probe: _Probe) -> float:
        tries = 2 if probe.others_try else 1
        return probe.began_at + tries * self._settings.patience_s * (1 + self._slowed)

    def _go_on_with_probes(self, now: float) -> list[Sent]:
        """Have others try those of whom nothing was heard, and suspect whom they do not reach."""
        sent: list[Sent] = []
        suspected = []
        for member, probe in list(self._probes.items()):
            if self.knowledge.stamp_of(member) > probe.stamp:
                del self._probes[member]
            elif now < self._runs_out_at(probe):
                continue
            elif not probe.others_try:
                probe.others_try = True
                sent += [(other, TryFor(self.member, member)) for other in self._others(member)]
            else:
                del self._probes[member]
                self._stay_awake(self._settings.awake_s, now)
                suspected.append(Suspicion(member, probe.stamp, frozenset([self.member])))
                if self._answered_at < probe.began_at:
                    self._slowed = min(self._slowed + 1, _MOST_SLOWED)
        self._suspicions.take(suspected, self.knowledge.stamps, now)
        return sent

    def _others(self, member: int) -> list[int]:
        """Return some members that may reach one."""
        others = [o for o in self._met if o != member and self.status(o) is Status.ALIVE]
        return self._random.sample(others, min(self._settings.fan_out, len(others)))

    def _try_for(self, message: TryFor, now: float) -> list[Sent]:
        if message.member not in self._met:
            return []
        self._tried_for.setdefault(message.member, set()).add(message.sender)
        return [(message.member, self._ping(now))]

    def _partners(self) -> list[int]:
        """Return whom to have exchanges with: all in turn, in an order that is drawn anew."""
        partners: list[int] = []
        if len(self._pool) < self._settings.fan_out:
            alive = [one for one in self._met if self.status(one) is not Status.DEAD]
            self._random.shuffle(alive)
            self._pool = alive + self._pool
        while self._pool and len(partners) < self._settings.fan_out:
            member = self._pool.pop()
            if member in self._met and member not in partners:
                partners.append(member)
        dead = self._suspicions.dead()
        if dead and self._random.random() < _TO_THE_DEAD:
            partners.append(self._random.choice(dead))
        return partners

    def _ping(self, now: float) -> Ping:
        known = self.knowledge
        return Ping(
            self.member,
            known.beats(),
            known.summaries(),
            self._suspicions.all(),
            self._awake_s(now),
        )

    def _pong(self, ping: Ping, now: float) -> Pong:
        known = self.knowledge
        return Pong(
            self.member,
            known.beats_beyond(ping.beats),
            tuple(known.told_beyond(ping.summaries, self._settings.limit_bytes)),
            known.missing(ping.summaries),
            self._suspicions.all(),
            self._awake_s(now),
        )

    def _answers_to(self, pong: Pong) -> list[Sent]:
        """Send summaries that are wanted, and a beat to those who do not reach its sender."""
        sent: list[Sent] = []
        if len(pong.wanted):
            told = self.knowledge.told_of(pong.wanted, self._settings.limit_bytes)
            sent.append(
                (pong.sender, News(self.member, self.knowledge.beat_of(self.member), tuple(told)))
            )
        for asked in self._tried_for.pop(pong.sender, ()):
            sent.append((asked, News(self.member, self.knowledge.beat_of(pong.sender), ())))
        return sent
