"""The Ray actor that plans and fans out for clients who would rather make one call."""

from __future__ import annotations

from functools import partial
from threading import Lock

import ray

from paradox.cluster import names, wire
from paradox.cluster.actors import ActorHandle, actor_class
from paradox.cluster.plane_shards import Transport, shards_over
from paradox.cluster.searcher import Searcher
from paradox.cluster.settings import CollectionSettings
from paradox.cluster.shard_actor import find_shards
from paradox.cluster.shards import RayShards
from paradox.routing import SearchRequest

_CONCURRENCY = {"search": 8, "control": 1}


class RouterActor:
    """A `Searcher` in its own process, which does exactly what the client's own would."""

    def __init__(self, settings: CollectionSettings, namespace: str) -> None:
        self._settings = settings
        self._find = partial(find_shards, settings.name, settings.shards, namespace=namespace)
        self._ways: dict[Transport, tuple[RayShards, Searcher]] = {}
        self._connecting = Lock()

    @ray.method(concurrency_group="search")
    def search(
        self, frame: bytes, timeout_s: float, also: tuple[int, ...], transport: Transport
    ) -> bytes:
        """Answer a search, a frame of `paradox.cluster.wire`; see `Searcher.search`.

        Raises:
            ActorGone: a shard is gone, and the supervisor has not been asked yet to start it.
        """
        request: SearchRequest = wire.unpack(wire.split(frame), SearchRequest)
        answer = self._searcher(transport).search(request, timeout_s=timeout_s, also=also)
        return wire.joined(wire.pack(answer))

    def _searcher(self, transport: Transport) -> Searcher:
        with self._connecting:
            if transport not in self._ways:
                found = self._find()
                shards = shards_over(transport, self._settings.name, found, revived=self._find)
                self._ways[transport] = shards, Searcher(shards, self._settings)
            shards, searcher = self._ways[transport]
            if shards.gone:
                shards.revive()
            return searcher


_ACTOR = actor_class(RouterActor, concurrency=_CONCURRENCY)


def start_router(settings: CollectionSettings, *, namespace: str) -> ActorHandle:
    """Return the router actor of a collection, started if there is none."""
    return _ACTOR.options(
        name=names.router_actor(settings.name),
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=0,
    ).remote(settings, namespace)
