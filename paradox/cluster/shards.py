"""The way from one process to all shards of a collection, over Ray calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import ray
from ray.exceptions import RayError

from paradox.cluster import wire
from paradox.cluster.actors import ActorHandle, Ref, gather
from paradox.cluster.failures import ActorGone, translated
from paradox.core.errors import Overloaded, ParadoxError, RetryableError, ShardUnavailable
from paradox.core.types import Neighbors
from paradox.routing import SearchRequest, ShardSummary

_BY_VALUE = 100_000  # bytes; Ray copies larger arguments into its object store at each call
_GRACE_S = 0.05
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class RayShards:
    """Carries searches to shards (a `ShardPort`), and every other call.

    A shard that did not answer a search is under suspicion: a call is sent after it, and until
    that comes back the shard counts as missing, so that only the first query waits its whole time
    in vain; later ones wait 50 ms for that call.

    Attributes:
        gone: whether an actor will not come back by itself; `revive` brings another.

    Args:
        collection: its name, for messages.
        actors: the shards' actors, by number.
        revived: returns the actors again after some of them have gone for good, started anew if
            it can have that done; raises `ActorGone` where they are not there.
    """

    def __init__(
        self,
        collection: str,
        actors: Sequence[ActorHandle],
        *,
        revived: Callable[[], Sequence[ActorHandle]],
    ) -> None:
        self._collection = collection
        self._revived = revived
        self._lock = Lock()
        self._connect(actors)

    def __len__(self) -> int:
        return len(self._actors)

    def revive(self) -> None:
        """Go on with new actors in the place of those that are gone.

        Raises:
            ParadoxError: there are none, as `revived` says it.
        """
        self._connect(self._revived())

    def who(self, shard: int) -> str:
        """Return what a shard is called in messages."""
        return f"shard {shard} of {self._collection!r}"

    def search(
        self, requests: Mapping[int, SearchRequest], *, timeout_s: float
    ) -> dict[int, Neighbors | ParadoxError]:
        """Ask several shards at once; see `ShardPort`."""
        suspects = self._still_suspected(requests, timeout_s) if self._suspects else ()
        replies: dict[int, Any] = {
            shard: ShardUnavailable(f"{self.who(shard)} does not answer") for shard in suspects
        }
        asked = {shard: request for shard, request in requests.items() if shard not in replies}
        answered = self._searched(asked, timeout_s)
        self._suspect_silent(answered)
        return replies | answered

    def summaries(
        self, known: Mapping[int, ShardSummary], *, timeout_s: float
    ) -> dict[int, ShardSummary | ParadoxError]:
        """Return what each shard holds; see `SummarySource`."""
        return self._summaries_of(range(len(self)), known, timeout_s)

    def _summaries_of(
        self, shards: Iterable[int], known: Mapping[int, ShardSummary], timeout_s: float
    ) -> dict[int, ShardSummary | ParadoxError]:
        """Return what each of these shards says that it holds."""
        arguments = {}
        for shard in shards:
            last = known.get(shard)
            arguments[shard] = (None if last is None else (last.epoch, last.seq),)
        replies = self.ask("summary", arguments, timeout_s=timeout_s)
        return {
            shard: _refreshed(known[shard], reply) if isinstance(reply, int) else reply
            for shard, reply in replies.items()
        }

    def ask(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], *, timeout_s: float
    ) -> dict[int, Any | ParadoxError]:
        """Call a method of several shards at once.

        Args:
            method: its name.
            arguments: shard to the arguments of its call.
            timeout_s: return after this long with what has come.

        Returns:
            Shard to its result, or to why there is none.
        """
        refs: dict[int, Ref] = {}
        failed: dict[int, Any] = {}
        for shard, args in arguments.items():
            try:
                refs[shard] = getattr(self._actors[shard], method).remote(*args)
            except RayError as error:
                failed[shard] = translated(error, self.who(shard))
        replies = failed | gather(refs, self.who, timeout_s=timeout_s)
        self.gone |= any(isinstance(reply, ActorGone) for reply in replies.values())
        return replies

    def ask_all(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], *, timeout_s: float
    ) -> dict[int, Any]:
        """Call a method of several shards, again where a shard was not there, until all answered.

        Only for calls that may run twice. What is repeated are the calls of the shards that
        failed, as they were: a write keeps its operation id, whatever becomes of the shards. Where
        some have refused, the others are waited for all the same, so that nothing is under way any
        more when this returns or raises. Nor are calls that all failed repeated with less time than
        they took: they would end as a deadline, which hides the reason and leaves open what became
        of them.

        Raises:
            ParadoxError: the first error that is not worth another try, or the last one there
                was when the time is over.
        """
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        results: dict[int, Any] = {}
        open_calls = dict(arguments)
        while True:
            asked = time.monotonic()
            replies = self.ask(method, open_calls, timeout_s=max(deadline - asked, 0.0))
            failures = {s: r for s, r in replies.items() if isinstance(r, ParadoxError)}
            took_s = time.monotonic() - asked if len(failures) == len(replies) else 0.0
            results |= {s: r for s, r in replies.items() if s not in failures}
            if not failures:
                return results
            for failure in failures.values():
                if not isinstance(failure, RetryableError):
                    raise failure
            if self.gone:
                self.revive()
            if time.monotonic() + pause_s + took_s >= deadline:
                raise next(iter(failures.values()))
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            open_calls = {shard: open_calls[shard] for shard in failures}

    def _connect(self, actors: Sequence[ActorHandle]) -> None:
        with self._lock:
            self._actors = list(actors)
            self._search = [actor.search for actor in actors]  # making a bound method costs 20 us
            self._suspects: dict[int, Ref] = {}
            self.gone = False

    def _searched(
        self, requests: Mapping[int, SearchRequest], timeout_s: float
    ) -> dict[int, Neighbors | ParadoxError]:
        """Send searches to shards that are not suspected, and return what came."""
        refs: dict[int, Ref] = {}
        replies: dict[int, Any] = {}
        for shard, frame in _framed(requests).items():
            try:
                refs[shard] = self._search[shard].remote(frame)
            except RayError as error:
                replies[shard] = translated(error, self.who(shard))
        for shard, reply in gather(refs, self.who, timeout_s=timeout_s).items():
            if isinstance(reply, bytes):
                reply = wire.unpack(wire.split(reply), Neighbors)
            replies[shard] = reply
        return replies

    def _suspect_silent(self, replies: Mapping[int, Any]) -> None:
        """Suspect the shards of which there is an error that may pass instead of an answer."""
        for shard, reply in replies.items():
            self.gone |= isinstance(reply, ActorGone)
            if not isinstance(reply, RetryableError) or isinstance(reply, Overloaded | ActorGone):
                continue
            with self._lock:
                if shard not in self._suspects:
                    self._ping(shard)

    def _still_suspected(self, shards: Iterable[int], timeout_s: float) -> list[int]:
        """Return which of these shards have not answered since they were suspected."""
        with self._lock:
            pings = {shard: self._suspects[shard] for shard in shards if shard in self._suspects}
            if not pings:
                return []
            ray.wait(list(pings.values()), num_returns=len(pings), timeout=min(_GRACE_S, timeout_s))
            for shard, ping in pings.items():
                if not ray.wait([ping], timeout=0)[0]:
                    continue
                try:
                    self._take_pong(shard, ray.get(ping))
                    del self._suspects[shard]
                except RayError as error:
                    self.gone |= isinstance(translated(error, self.who(shard)), ActorGone)
                    self._ping(shard)
            return [shard for shard in pings if shard in self._suspects]

    def _ping(self, shard: int) -> None:
        self._suspects[shard] = self._actors[shard].ready.remote()

    def _take_pong(self, shard: int, pong: Any) -> None:
        """Take note of what a shard answered that was suspected."""


def _framed(requests: Mapping[int, SearchRequest]) -> dict[int, bytes | Ref]:
    """Return each request as a frame; a large one that several shards get is stored once."""
    frames: dict[tuple[int, float | None], bytes | Ref] = {}
    framed = {}
    for shard, request in requests.items():
        key = (id(request.queries), request.recall)
        if key not in frames:
            frame = wire.joined(wire.pack(request))
            frames[key] = ray.put(frame) if len(frame) > _BY_VALUE else frame
        framed[shard] = frames[key]
    return framed


def _refreshed(known: ShardSummary, n_live: int) -> ShardSummary:
    return known if known.n_live == n_live else replace(known, n_live=n_live)
