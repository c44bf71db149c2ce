"""Members that are not heard of any more: suspected first, dead after a while.

A suspicion says since which stamp nothing was heard, so any newer beat refutes it, whoever brings
it. How long it lasts depends on how many came to it by themselves: a member whose own messages
are lost suspects others alone, and slowly (Lifeguard: Dadgar and others, DSN 2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from paradox.core.types import I64Vector

ENOUGH_SUSPECTORS = 4
"""More do not make a suspicion end any earlier, and are not told of."""


class Status(Enum):
    """What is held of a member."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """That nothing was heard of a member since a stamp.

    Attributes:
        member: who is suspected.
        stamp: of the last beat that was heard.
        by: who came to it by themselves, at most `ENOUGH_SUSPECTORS`.
        dead: whether it has lasted.
    """

    member: int
    stamp: int
    by: frozenset[int]
    dead: bool = False


class Suspicions:
    """All suspicions of one member.

    Args:
        longest_s: how long one lasts before its member is dead.
        shortest_s: the same where `ENOUGH_SUSPECTORS` have it.
    """

    def __init__(self, *, longest_s: float, shortest_s: float) -> None:
        self._longest_s = longest_s
        self._shortest_s = shortest_s
        self._open: dict[int, Suspicion] = {}
        self._since: dict[int, float] = {}

    def status(self, member: int) -> Status:
        """Return what is held of a member."""
        suspicion = self._open.get(member)
        if suspicion is None:
            return Status.ALIVE
        return Status.DEAD if suspicion.dead else Status.SUSPECT

    def dead(self) -> list[int]:
        """Return who is held dead."""
        return [one.member for one in self._open.values() if one.dead]

    def all(self) -> tuple[Suspicion, ...]:
        """Return them, to be told."""
        return tuple(self._open.values())

    def take(self, told: Iterable[Suspicion], stamps: I64Vector, now: float) -> None:
        """Take in suspicions, one's own or those of others.

        Args:
            told: members may be unknown here.
            stamps: (n,) int64, of the last beats that are known; what they refute is left out.
            now: seconds.
        """
        for suspicion in told:
            member = suspicion.member
            if member < len(stamps) and stamps[member] > suspicion.stamp:
                continue
            mine = self._open.get(member)
            if mine is None:
                self._open[member] = suspicion
                self._since[member] = now
                continue
            by = mine.by | suspicion.by
            if len(by) > ENOUGH_SUSPECTORS:
                by = frozenset(sorted(by)[:ENOUGH_SUSPECTORS])
            self._open[member] = Suspicion(
                member, max(mine.stamp, suspicion.stamp), by, mine.dead or suspicion.dead
            )

    def settle(self, stamps: I64Vector, now: float) -> None:
        """Drop what newer beats refute, and hold those dead whose suspicion has lasted.

        Args:
            stamps: (n,) int64, of the last beats that are known.
            now: seconds.
        """
        for member, suspicion in list(self._open.items()):
            if member < len(stamps) and stamps[member] > suspicion.stamp:
                self.drop(member)
            elif not suspicion.dead and now - self._since[member] >= self._lasts_s(suspicion):
                self._open[member] = replace(suspicion, dead=True)

    def drop(self, member: int) -> None:
        """Suspect a member no longer."""
        self._open.pop(member, None)
        self._since.pop(member, None)

    def pause(self, pause_s: float) -> None:
        """Leave out of all suspicions a time in which nothing could be heard here."""
        for member in self._since:
            self._since[member] += pause_s

    def _lasts_s(self, suspicion: Suspicion) -> float:
        share = math.log(len(suspicion.by)) / math.log(ENOUGH_SUSPECTORS)
        return self._longest_s - min(share, 1.0) * (self._longest_s - self._shortest_s)
