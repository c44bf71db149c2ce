"""The way to all shards of a collection whose searches and writes go over the data plane."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, Literal

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

Transport = Literal["sockets", "ray"]
"""How searches and writes reach the shards."""

_LEARN_S = 5.0
_HEAR_S = 1.0
_BACK_S = 0.25
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
        if self._suspects:
            self._still_suspected(arguments, timeout_s)  # learns where they are, if they are back
        return self._carried(method, arguments, timeout_s)

    def summaries(
        self, known: Mapping[int, ShardSummary], *, timeout_s: float
    ) -> dict[int, ShardSummary | ParadoxError]:
        """Return what each shard holds, as one of them has heard of all; see `SummarySource`.

        Those of which it has heard nothing yet are asked themselves, and at first all are: what is
        heard is half a second old.
        """
        if not known:
            return super().summaries(known, timeout_s=timeout_s)
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
        arguments = {id(request): (request,) for request in requests.values()}
        asked = {shard: arguments[id(request)] for shard, request in requests.items()}
        return self._carried("search", asked, timeout_s)

    def _carried(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], timeout_s: float
    ) -> dict[int, Any]:
        """Call shards, once more those that have come back somewhere else.

        All calls may run twice: searches change nothing, and writes have operation ids.
        """
        deadline = time.monotonic() + timeout_s
        replies = self._called(method, arguments, timeout_s)
        self._suspect_silent(replies)
        back = self._come_back(replies)
        if back:
            left_s = max(deadline - time.monotonic(), 0.0)
            again = self._called(method, {shard: arguments[shard] for shard in back}, left_s)
            self._suspect_silent(again)
            replies |= again
        return replies

    def _come_back(self, replies: dict[int, Any]) -> list[int]:
        """Return the shards whose connection was lost and that are there again already.

        Those that Ray knows to be gone for good have that as their reply afterwards.
        """
        with self._lock:
            pings = {
                shard: self._suspects[shard]
                for shard, reply in replies.items()
                if type(reply) is ShardUnavailable and shard in self._suspects
            }
        if pings:
            ray.wait(list(pings.values()), num_returns=len(pings), timeout=_BACK_S)
        back = []
        for shard, ping in pings.items():
            try:
                self._take_pong(shard, ray.get(ping, timeout=0))
                back.append(shard)
            except RayError as error:
                told = translated(error, self.who(shard))
                if isinstance(told, ActorGone):
                    self.gone = True
                    replies[shard] = told
        return back

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


def shards_over(
    transport: Transport,
    collection: str,
    actors: Sequence[ActorHandle],
    *,
    revived: Callable[[], Sequence[ActorHandle]],
) -> RayShards:
    """Return the way to the shards of a collection over a transport; see `RayShards`."""
    way = PlaneShards if transport == "sockets" else RayShards
    return way(collection, actors, revived=revived)
