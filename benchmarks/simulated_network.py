"""A group of members in virtual time: messages that take time, get lost, or do not get through."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from random import Random

from paradox.routing.gossip import READER, Gossip, GossipSettings, Message, Ping, Sent
from paradox.routing.knowledge import Knowledge

_START_S = 1.0
_ASLEEP = -1.0
_LEAST_S = 1e-6
"""To wake in: less may be lost in rounding, beside the time it is."""


class SimulatedNetwork:
    """Members that gossip, each on its own clock, which may differ from the others' at will.

    Attributes:
        members: by number; those that were killed too.
        now: seconds since the beginning of the simulation.
        n_messages: how many were sent.

    Args:
        n_members: how many there are; each knows of all others.
        settings: of all members.
        seed: of everything that is drawn; the same seed gives the same run.
        loss: share of messages that are lost.
        delay_s: the shortest and the longest time a message takes.
        skew_s: the most by which clocks differ.
    """

    def __init__(
        self,
        n_members: int,
        *,
        settings: GossipSettings,
        seed: int,
        loss: float = 0.0,
        delay_s: tuple[float, float] = (0.0005, 0.003),
        skew_s: float = 0.0,
    ) -> None:
        self.loss = loss
        self.now = 0.0
        self.n_messages = 0
        self._settings = settings
        self._delay_s = delay_s
        self._random = Random(seed)
        self._skews = [self._random.uniform(-skew_s, skew_s) for _ in range(n_members)]
        self._down: set[int] = set()
        self._sides: dict[int, int] = {}
        self._events: list[tuple[float, int, int, Message | None]] = []
        self._n_events = 0
        self._tick_at = [0.0] * n_members
        self.members = [self._born(member, 1) for member in range(n_members)]
        for member in range(n_members):
            self._wake(member, self._random.uniform(0, settings.period_s))

    def run(self, for_s: float, until: Callable[[], bool] = lambda: False) -> float:
        """Let time go by, and return how much did.

        Args:
            for_s: at most so much.
            until: looked at ten times a period; ends the run when it is true.
        """
        start = self.now
        end = start + for_s
        look_at = start
        while self.now < end:
            if self.now >= look_at:
                if until():
                    break
                look_at = self.now + self._settings.period_s / 10
            if not self._events or self._events[0][0] > end:
                self.now = end
                break
            self._step()
        return self.now - start

    def stop(self, member: int) -> None:
        """Have a member neither send nor take in anything, until it goes on."""
        self._down.add(member)

    def go_on(self, member: int) -> None:
        """Let a member go on as it was when it was stopped."""
        self._down.discard(member)
        self._wake(member, 0.0)

    def restart(self, member: int, life: int) -> None:
        """Begin a new life of a member, which knows nothing but whom to ask."""
        self.members[member] = self._born(member, life)
        self.go_on(member)

    def read(self, member: int) -> None:
        """Have a reader ask a member for all that it knows."""
        known = Knowledge()
        self._push(self.now, member, Ping(READER, known.beats(), known.summaries(), ()))

    def part(self, *sides: Sequence[int]) -> None:
        """Let messages through within each side alone; without sides they go everywhere."""
        self._sides = {member: side for side, of in enumerate(sides) for member in of}

    def _born(self, member: int, life: int) -> Gossip:
        gossip = Gossip(member, life, settings=self._settings, random=Random(self._random.random()))
        gossip.meet(range(len(self._tick_at)))
        return gossip

    def clock(self, member: int) -> float:
        """Return what time it is to a member."""
        return self.now + self._skews[member] + _START_S

    def _step(self) -> None:
        at, _, member, message = heapq.heappop(self._events)
        self.now = at
        gossip = self.members[member]
        if member in self._down:
            return
        if message is None:
            if at != self._tick_at[member]:
                return  # it is to wake at another time since
            self._tick_at[member] = _ASLEEP
            sent = gossip.tick(self.clock(member))
        else:
            sent = gossip.receive(message, self.clock(member))
        for one in sent:
            self._send(member, one)
        self._wake(member, max(gossip.due_at() - self.clock(member), _LEAST_S))

    def _wake(self, member: int, in_s: float) -> None:
        at = self.now + in_s
        if self._tick_at[member] != at:
            self._tick_at[member] = at
            self._push(at, member, None)

    def _send(self, sender: int, sent: Sent) -> None:
        to, message = sent
        if to == READER:
            return
        self.n_messages += 1
        lost = self._random.random() < self.loss
        if not lost and self._sides.get(sender) == self._sides.get(to):
            self._push(self.now + self._random.uniform(*self._delay_s), to, message)

    def _push(self, at: float, member: int, message: Message | None) -> None:
        self._n_events += 1
        heapq.heappush(self._events, (at, self._n_events, member, message))
