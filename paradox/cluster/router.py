"""The Ray actor that plans and fans out for clients who would rather make one call."""

from __future__ import annotations

from functools import partial

import ray

from paradox.cluster import names, wire
from paradox.cluster.actors import ActorHandle, actor_class
from paradox.cluster.searcher import Searcher
from paradox.cluster.settings import CollectionSettings
from paradox.cluster.shard_actor import find_shards
from paradox.cluster.shards import RayShards
from paradox.routing import SearchRequest

_CONCURRENCY = {"search": 8, "control": 1}


class RouterActor:
    """A `Searcher` in its own process, which does exactly what the client's own would."""

    def __init__(self, settings: CollectionSettings, namespace: str) -> None:
        find = partial(find_shards, settings.name, settings.shards, namespace=namespace)
        self._shards = RayShards(settings.name, find(), revived=find)
        self._searcher = Searcher(self._shards, settings)

    @ray.method(concurrency_group="search")
    def search(self, frame: bytes, timeout_s: float, also: tuple[int, ...]) -> bytes:
        """Answer a search, a frame of `paradox.cluster.wire`; see `Searcher.search`.

        Raises:
            ActorGone: a shard is gone, and the supervisor has not been asked yet to start it.
        """
        if self._shards.gone:
            self._shards.revive()
        request: SearchRequest = wire.unpack(wire.split(frame), SearchRequest)
        answer = self._searcher.search(request, timeout_s=timeout_s, also=also)
        return wire.joined(wire.pack(answer))


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
