"""The Ray actor around a `Shard`, and how it is started and found."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import ray
from ray.exceptions import RayError

from paradox.cluster import names, wire
from paradox.cluster.actors import ActorHandle, actor_class
from paradox.cluster.failures import ActorGone
from paradox.cluster.plane import PlaneAddress, PlaneServer
from paradox.cluster.shard import Shard, ShardClosed, ShardConfig, Upserts, Written
from paradox.cluster.shard_calls import handlers
from paradox.cluster.shard_gossip import ShardGossip
from paradox.core.errors import CorruptionError
from paradox.core.types import I32Vector, I64Vector, Record
from paradox.memory import EngineStats
from paradox.routing import SearchRequest, ShardSummary

_LOG = logging.getLogger(__name__)

# Threads a shard gives to each kind of call, so that no kind waits behind another: a health call
# during a long search or write answers within a millisecond. Writes that wait for the disk together
# become durable together, hence more threads for them.
_CONCURRENCY = {"search": 4, "write": 8, "directory": 4, "control": 2, "upkeep": 1}
_MAX_PENDING_CALLS = 4_096
_OPEN_AGAIN_S = 5.0
_FIND_S = 5.0


class ShardActor:
    """A shard in its own process; see `Shard`."""

    def __init__(self, config: ShardConfig, namespace: str) -> None:
        self._config = config
        self._namespace = namespace
        self._shard = Shard(config)
        self._plane: PlaneServer | None = None
        self._gossip: ShardGossip | None = None
        self._finding: set[int] = set()
        self._opening = Lock()

    @ray.method(concurrency_group="search")
    def search(self, frame: bytes) -> bytes:
        """Answer a search; see `paradox.cluster.wire` for the frames."""
        request: SearchRequest = wire.unpack(wire.split(frame), SearchRequest)
        return wire.joined(wire.pack(self._shard.search(request)))

    @ray.method(concurrency_group="search")
    def get(self, ids: I64Vector) -> list[Record | None]:
        """See `Shard.get`."""
        return self._shard.get(ids)

    @ray.method(concurrency_group="write")
    def add(self, upserts: Upserts) -> Written:
        """See `Shard.add`."""
        return self._shard.add(upserts)

    @ray.method(concurrency_group="write")
    def delete(self, ids: I64Vector, operation_id: bytes) -> Written:
        """See `Shard.delete`."""
        return self._shard.delete(ids, operation_id)

    @ray.method(concurrency_group="directory")
    def assign_homes(self, ids: I64Vector, proposed: I32Vector) -> I32Vector:
        """See `Shard.assign_homes`."""
        return self._shard.assign_homes(ids, proposed)

    @ray.method(concurrency_group="directory")
    def homes(self, ids: I64Vector) -> I32Vector:
        """See `Shard.homes`."""
        return self._shard.homes(ids)

    @ray.method(concurrency_group="control")
    def summary(self, known: tuple[int, int] | None) -> ShardSummary | int:
        """See `Shard.summary`."""
        return self._shard.summary(known)

    @ray.method(concurrency_group="control")
    def stats(self) -> EngineStats:
        """See `Shard.stats`."""
        return self._shard.stats()

    @ray.method(concurrency_group="control")
    def ready(self) -> None:
        """See `Shard.ready`."""
        self._shard.ready()

    @ray.method(concurrency_group="control")
    def plane_address(self, once_open: bool = False) -> PlaneAddress:
        """Return where it answers calls over the data plane.

        Args:
            once_open: wait until it is open, or until it turns out that it cannot be: its calls
                tell why.
        """
        if once_open:
            with contextlib.suppress(CorruptionError):
                self._shard.ready()
        return self._opened_plane().address

    @ray.method(concurrency_group="upkeep")
    def checkpoint(self) -> None:
        """See `Shard.checkpoint`."""
        self._shard.checkpoint()

    @ray.method(concurrency_group="upkeep")
    def hold(self, holder: str, at_most_s: float) -> None:
        """See `Shard.hold`."""
        self._shard.hold(holder, at_most_s)

    @ray.method(concurrency_group="control")  # a hold that takes long must not be in its way
    def release(self, holder: str) -> None:
        """See `Shard.release`."""
        self._shard.release(holder)

    @ray.method(concurrency_group="upkeep")
    def stage(self, holder: str, folder: str) -> None:
        """See `Shard.stage`."""
        self._shard.stage(holder, Path(folder))

    @ray.method(concurrency_group="upkeep")
    def close(self, checkpoint: bool) -> None:
        """See `Shard.close`."""
        self._shard.close(checkpoint=checkpoint)

    def _begin_gossip(self) -> None:
        """Open the shard, and let the others know of it; tried until it works, or it is closed."""
        while self._gossip is None:
            try:
                self._shard.ready()
                self._gossip = ShardGossip(
                    self._shard,
                    self._opened_plane(),
                    self._config.settings.shards,
                    self._find,
                )
                self._gossip.start()
            except ShardClosed:
                return
            except Exception:
                _LOG.warning("%s cannot be opened yet", self._config, exc_info=True)
                time.sleep(_OPEN_AGAIN_S)

    def _find(self, shard: int) -> None:
        """Have the gossip learn where another shard answers."""
        name = names.shard_actor(self._config.settings.name, shard)

        def ask() -> None:
            with contextlib.suppress(ValueError, RayError):
                actor = ray.get_actor(name, namespace=self._namespace)
                address: Any = ray.get(actor.plane_address.remote(), timeout=_FIND_S)
                assert self._gossip is not None
                self._gossip.gossiping.reach(shard, address)
            self._finding.discard(shard)

        if shard not in self._finding:
            self._finding.add(shard)
            Thread(target=ask, name="find", daemon=True).start()

    def _opened_plane(self) -> PlaneServer:
        with self._opening:
            if self._plane is None:
                host: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
                self._plane = PlaneServer(handlers(self._shard), host=host)
                Thread(target=self._begin_gossip, name="begin gossip", daemon=True).start()
            return self._plane


_ACTOR = actor_class(ShardActor, concurrency=_CONCURRENCY)


def start_shard(config: ShardConfig, *, namespace: str, num_cpus: float) -> ActorHandle:
    """Return the actor of a shard, started if there is none.

    Calls are not repeated by Ray: a search is answered without a shard that died, and writes are
    repeated by the client, under the same operation id.
    """
    return _ACTOR.options(
        name=names.shard_actor(config.settings.name, config.number),
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=0,
        max_pending_calls=_MAX_PENDING_CALLS,
        num_cpus=num_cpus,
        scheduling_strategy="SPREAD",
    ).remote(config, namespace)


def find_shards(collection: str, n_shards: int, *, namespace: str) -> list[ActorHandle]:
    """Return the actors of a collection's shards, by number.

    Raises:
        ActorGone: one of them does not exist (any more).
    """
    try:
        return [
            ray.get_actor(names.shard_actor(collection, number), namespace=namespace)
            for number in range(n_shards)
        ]
    except ValueError as error:
        raise ActorGone(f"collection {collection!r} is not running, or not all of it") from error
