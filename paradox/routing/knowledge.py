"""What one member of a group knows of all: what each last told of itself, and how new that is.

A member is a small whole number, which the catalog gives. What it tells carries a stamp: its life
and a count. Only the member itself makes newer ones, so the greater of two stamps is the newer,
whatever clocks say and however late a message comes (scuttlebutt: van Renesse and others, LADIS
2008).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from paradox.core.types import BoolMask, F32Vector, F64Vector, I64Vector

MAX_MEMBERS = 1 << 16
NEVER = -1
"""The stamp of what was never told."""

_VERSION_BITS = 40
_LAST_VERSION = (1 << _VERSION_BITS) - 1


def stamp(life: int, version: int) -> int:
    """Return the stamp of what a member tells: its life first, then how often it has told."""
    return (life << _VERSION_BITS) | version


@dataclass(frozen=True, slots=True, eq=False)
class Beats:
    """What members last told of how they are.

    Attributes:
        members: (m,) int64, each once.
        stamps: (m,) int64.
        loads: (m,) float32, searches under way.
        healthy: (m,) bool.
        n_live: (m,) int64, records that can be found; negative where it cannot tell.
    """

    members: I64Vector
    stamps: I64Vector
    loads: F32Vector
    healthy: BoolMask
    n_live: I64Vector

    def __len__(self) -> int:
        return len(self.members)


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """How new the summaries are that someone has.

    Attributes:
        members: (m,) int64, each once.
        stamps: (m,) int64.
    """

    members: I64Vector
    stamps: I64Vector


@dataclass(frozen=True, slots=True)
class Told:
    """What a member tells of what it holds.

    Attributes:
        member: who tells it.
        stamp: how new it is.
        summary: in the encoding of those who read it; gossip does not look inside.
    """

    member: int
    stamp: int
    summary: bytes


class Knowledge:
    """The last that was heard of every member.

    Attributes:
        stamps: (n,) int64, of each member's last beat; `NEVER` where none was heard.
        heard_at: (n,) float64, when that came, by the clock of this process.
        loads: (n,) float32.
        healthy: (n,) bool.
        n_live: (n,) int64.
    """

    def __init__(self) -> None:
        self.stamps: I64Vector = np.zeros(0, np.int64)
        self.heard_at: F64Vector = np.zeros(0, np.float64)
        self.loads: F32Vector = np.zeros(0, np.float32)
        self.healthy: BoolMask = np.zeros(0, np.bool_)
        self.n_live: I64Vector = np.zeros(0, np.int64)
        self._told: list[Told | None] = []
        self._told_stamps: I64Vector = np.zeros(0, np.int64)

    def members(self) -> I64Vector:
        """Return who has been heard of, by number."""
        return np.flatnonzero(self.loads >= 0)

    def stamp_of(self, member: int) -> int:
        """Return the stamp of a member's last beat."""
        return int(self.stamps[member]) if member < len(self.stamps) else NEVER

    def told_by(self, member: int) -> Told | None:
        """Return what a member last told of what it holds."""
        return self._told[member] if member < len(self._told) else None

    def take_beats(self, beats: Beats, now: float) -> I64Vector:
        """Take in what is news of these, and return of whom it is.

        Args:
            beats: members below `MAX_MEMBERS`, each once.
            now: seconds.
        """
        if not len(beats):
            return beats.members
        self._have_room_for(int(beats.members.max()))
        newer = beats.stamps > self.stamps[beats.members]
        members: I64Vector = beats.members[newer]
        self.stamps[members] = beats.stamps[newer]
        self.loads[members] = np.maximum(beats.loads[newer], 0)
        self.healthy[members] = beats.healthy[newer]
        self.n_live[members] = beats.n_live[newer]
        self.heard_at[members] = now
        return members

    def take_told(self, told: Iterable[Told]) -> list[Told]:
        """Take in what is news of these, and return it."""
        news = []
        for one in told:
            self._have_room_for(one.member)
            if one.stamp > self._told_stamps[one.member]:
                self._told_stamps[one.member] = one.stamp
                self._told[one.member] = one
                news.append(one)
        return news

    def beats(self) -> Beats:
        """Return the last beat of everyone."""
        return self._beats_of(self.members())

    def beats_beyond(self, known: Beats) -> Beats:
        """Return the beats that someone who knows `known` has not heard."""
        theirs = self._spread(known.members, known.stamps)
        return self._beats_of(np.flatnonzero((self.stamps > theirs) & (self.loads >= 0)))

    def beat_of(self, member: int) -> Beats:
        """Return the last beat of one member; none if it was never heard."""
        return self._beats_of(np.array([member] if self.stamp_of(member) != NEVER else [], int))

    def summaries(self) -> Stamps:
        """Return how new the summaries are that are known."""
        members = np.flatnonzero(self._told_stamps != NEVER)
        return Stamps(members, self._told_stamps[members])

    def told_beyond(self, known: Stamps, limit_bytes: int) -> list[Told]:
        """Return summaries that someone has not got, as many as fit, and one at least."""
        theirs = self._spread(known.members, known.stamps)
        return self._told_of(np.flatnonzero(self._told_stamps > theirs), limit_bytes)

    def told_of(self, members: I64Vector, limit_bytes: int) -> list[Told]:
        """Return the summaries of these members, as many as fit, and one at least."""
        return self._told_of(members[members < len(self._told)], limit_bytes)

    def missing(self, theirs: Stamps) -> I64Vector:
        """Return of which members someone has newer summaries than are known here."""
        known = theirs.members < len(self._told_stamps)
        mine = np.full(len(theirs.members), NEVER)
        mine[known] = self._told_stamps[theirs.members[known]]
        members: I64Vector = theirs.members[theirs.stamps > mine]
        return members

    def forget(self, member: int) -> None:
        """Let go of a member that has left: only a later life of it is news again."""
        if self.stamp_of(member) == NEVER:
            return
        self.stamps[member] |= _LAST_VERSION
        self._told_stamps[member] = max(self._told_stamps[member], self.stamps[member])
        self.loads[member] = NEVER
        self._told[member] = None

    def _beats_of(self, members: I64Vector) -> Beats:
        return Beats(
            members,
            self.stamps[members],
            self.loads[members],
            self.healthy[members],
            self.n_live[members],
        )

    def _told_of(self, members: I64Vector, limit_bytes: int) -> list[Told]:
        found: list[Told] = []
        size = 0
        for member in members.tolist():
            told = self._told[member]
            if told is None:
                continue
            size += len(told.summary)
            if found and size > limit_bytes:
                break
            found.append(told)
        return found

    def _spread(self, members: I64Vector, stamps: I64Vector) -> I64Vector:
        """Return the stamps of someone else at the places of the members."""
        spread: I64Vector = np.full(len(self.stamps), NEVER)
        here = members < len(spread)
        spread[members[here]] = stamps[here]
        return spread

    def _have_room_for(self, member: int) -> None:
        missing = member + 1 - len(self.stamps)
        if missing <= 0:
            return
        missing = max(missing, len(self.stamps) // 2)
        self.stamps = np.append(self.stamps, np.full(missing, NEVER))
        self._told_stamps = np.append(self._told_stamps, np.full(missing, NEVER))
        self.heard_at = np.append(self.heard_at, np.zeros(missing))
        self.loads = np.append(self.loads, np.full(missing, NEVER, np.float32))
        self.healthy = np.append(self.healthy, np.zeros(missing, np.bool_))
        self.n_live = np.append(self.n_live, np.zeros(missing, np.int64))
        self._told += [None] * missing
