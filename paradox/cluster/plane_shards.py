"""The way to all shards of a collection whose searches and writes go over the data plane."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import ray
from ray.exceptions import RayError

from paradox.cluster import wire
from paradox.cluster.actors import ActorHandle, gather
from paradox.cluster.failures import ActorGone, translated
from paradox.cluster.plane import Asked, Lines, PlaneAddress
from paradox.cluster.shard import ShardClosed
from paradox.cluster.shard_calls import CALLS, FoundRecords
from paradox.cluster.shards import RayShards
from paradox.cluster.wire import MalformedMessage
from paradox.core.errors import ParadoxError, ShardUnavailable
from paradox.core.types import Neighbors
from paradox.routing import SearchRequest, ShardSummary
from paradox.routing.gossip import READER, Ping, Pong
from paradox.routing.knowledge import NEVER, Knowledge, Told

_LEARN_S = 5.0
_HEAR_S = 1.0
_GONE_S = 0.25
_TRIES = 3


class PlaneShards(RayShards):
    """Carries searches and writes over sockets, and every other call by Ray; see `RayShards`.

    Where a shard answers is learnt by a call to its actor, again whenever it did not answer: after
    a restart it is somewhere else.
    """

    def __init__(
        self,
        collection: str,
        actors: Sequence[ActorHandle],
        *,
        revived: Callable[[], Sequence[ActorHandle]],
    ) -> None:
        self._lines = Lines(self.who)
        self._hearing = Lock()
        self._knowledge = Knowledge()
        self._told: dict[int, ShardSummary] = {}
        super().__init__(collection, actors, revived=revived)

    def ask(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], *, timeout_s: float
    ) -> dict[int, Any | ParadoxError]:
        """Call a method of several shards at once; see `RayShards.ask`."""
        if method not in CALLS:
            return super().ask(method, arguments, timeout_s=timeout_s)
        suspects = self._still_suspected(arguments, timeout_s) if self._suspects else ()
        replies: dict[int, Any] = {
            shard: ShardUnavailable(f"{self.who(shard)} does not answer") for shard in suspects
        }
        asked = {shard: args for shard, args in arguments.items() if shard not in replies}
        answered = self._called(method, asked, timeout_s)
        self._suspect_silent(answered)
        return replies | self._told_which_are_gone(answered)

    def summaries(
        self, known: Mapping[int, ShardSummary], *, timeout_s: float
    ) -> dict[int, ShardSummary | ParadoxError]:
        """Return what each shard holds, as one of them has heard of all; see `SummarySource`.

        Those of which it has heard nothing yet are asked themselves.
        """
        replies: dict[int, ShardSummary | ParadoxError] = {**self._heard(timeout_s)}
        others = [shard for shard in range(len(self)) if shard not in replies]
        if others:
            replies |= self._summaries_of(others, known, timeout_s)
        return replies

    def _heard(self, timeout_s: float) -> dict[int, ShardSummary]:
        """Ask one shard for news of all, and return all that is known."""
        with self._hearing:
            willing = [shard for shard in range(len(self)) if shard not in self._suspects]
            for shard in random.sample(willing, min(_TRIES, len(willing))):
                if self._hear(shard, min(timeout_s, _HEAR_S)):
                    break
            return dict(self._told)

    def _hear(self, shard: int, timeout_s: float) -> bool:
        """Take in what a shard knows; tell whether it answered."""
        known = self._knowledge
        while True:
            ping = Ping(READER, known.beats(), known.summaries(), ())
            asked = {shard: Asked("ping", (None, ping), Pong)}
            pong = self._lines.call(asked, timeout_s=timeout_s)[shard]
            if not isinstance(pong, Pong):
                return False
            known.take_beats(pong.beats, time.monotonic())
            news = known.take_told(pong.told)
            for told in news:
                self._decode(told)
            for member in pong.beats.members.tolist():
                self._count(member)
            if not news:
                self._suspect_silent(
                    {
                        one.member: ShardUnavailable(f"{self.who(one.member)} is silent")
                        for one in pong.suspicions
                        if one.member < len(self) and one.member != shard
                    }
                )
                return True

    def _decode(self, told: Told) -> None:
        try:
            self._told[told.member] = wire.unpack(wire.split(told.summary), ShardSummary)
        except MalformedMessage:  # it is asked for its summary itself
            self._told.pop(told.member, None)

    def _count(self, member: int) -> None:
        """Take note of how many records a shard has now."""
        summary = self._told.get(member)
        n_live = int(self._knowledge.n_live[member])
        if summary is not None and n_live not in (NEVER, summary.n_live):
            self._told[member] = replace(summary, n_live=n_live)

    def _searched(
        self, requests: Mapping[int, SearchRequest], timeout_s: float
    ) -> dict[int, Neighbors | ParadoxError]:
        arguments = {shard: (request,) for shard, request in requests.items()}
        answered = self._called("search", arguments, timeout_s)
        self._suspect_silent(answered)
        return self._told_which_are_gone(answered)

    def _told_which_are_gone(self, replies: dict[int, Any]) -> dict[int, Any]:
        """Tell shards whose connection was lost from those that are gone for good: Ray knows."""
        with self._lock:
            pings = {
                shard: self._suspects[shard]
                for shard, reply in replies.items()
                if type(reply) is ShardUnavailable and shard in self._suspects
            }
        if pings:
            ray.wait(list(pings.values()), num_returns=len(pings), timeout=_GONE_S)
        for shard, ping in pings.items():
            try:
                ray.get(ping, timeout=0)
            except RayError as error:
                told = translated(error, self.who(shard))
                if isinstance(told, ActorGone):
                    self.gone = True
                    replies[shard] = told
        return replies

    def _called(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], timeout_s: float
    ) -> dict[int, Any]:
        result = CALLS[method][1]
        calls = {shard: Asked(method, given, result) for shard, given in arguments.items()}
        replies = self._lines.call(calls, timeout_s=timeout_s)
        for shard, reply in replies.items():
            if isinstance(reply, ShardClosed):
                replies[shard] = ActorGone(f"{self.who(shard)} is closed")
            elif isinstance(reply, FoundRecords):
                replies[shard] = reply.records()
        return replies

    def _connect(self, actors: Sequence[ActorHandle]) -> None:
        super()._connect(actors)
        asked = {shard: actor.plane_address.remote() for shard, actor in enumerate(actors)}
        for shard, reply in gather(asked, self.who, timeout_s=_LEARN_S).items():
            if isinstance(reply, PlaneAddress):
                self._lines.reach(shard, reply)
            else:
                self._lines.reach(shard, None)
                self._suspect_silent({shard: reply})

    def _ping(self, shard: int) -> None:
        self._suspects[shard] = self._actors[shard].plane_address.remote(True)

    def _take_pong(self, shard: int, pong: PlaneAddress) -> None:
        self._lines.reach(shard, pong)
