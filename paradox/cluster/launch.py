"""Actors on Ray: those of a collection, started and ended by the supervisor, and the supervisor."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from paradox.cluster import names
from paradox.cluster.actors import (
    ActorHandle,
    Ref,
    actor_class,
    call,
    cpus_of_nodes,
    free_cpus,
    gather,
    logical_cpus,
)
from paradox.cluster.catalog import Entry
from paradox.cluster.failures import ActorGone, translated
from paradox.cluster.plane_shards import Transport
from paradox.cluster.router import start_router
from paradox.cluster.settings import CollectionSettings
from paradox.cluster.shard import ShardConfig
from paradox.cluster.shard_actor import find_shards, start_shard
from paradox.cluster.shards import RayShards
from paradox.cluster.supervisor import Supervisor
from paradox.core import config
from paradox.core.errors import DeadlineExceeded, InvalidArgument, ParadoxError, ShardUnavailable

_LOG = logging.getLogger(__name__)

_OPEN_S = 60.0
_CLOSE_S = 10.0
_DIE_S = 10.0
_ANSWER_S = 120.0
_STAGE_S = 3600.0
_RETRY_S = 0.1
_SUPERVISOR_CALLS = 32
_SHARDS_A_CPU = 16
"""Far more than serve well, and each is a process."""


class RayLauncher:
    """Starts and ends the detached actors of collections; see `Launcher`.

    Args:
        namespace: Ray namespace of the actors.
        shard_cpus: logical CPUs that a shard takes of its node; 0 takes none, so that any number
            fits. A shard uses as many threads for one call, at least one.
    """

    def __init__(self, namespace: str, shard_cpus: float) -> None:
        self._namespace = namespace
        self._shard_cpus = shard_cpus

    def start(self, entry: Entry) -> None:
        """Start the shards and the router that are not running; see `Launcher.start`."""
        started = self._start_shards(entry)
        settings = entry.settings
        replies = gather(started, lambda n: f"shard {n} of {settings.name!r}", timeout_s=_OPEN_S)
        late = [number for number, reply in replies.items() if isinstance(reply, DeadlineExceeded)]
        if late:
            replies |= dict.fromkeys(late, self._late(entry, len(late)))
        for reply in dict.fromkeys(replies.values()):
            if isinstance(reply, ParadoxError):
                if entry.created:
                    raise reply
                _LOG.warning("%s", reply)
        start_router(settings, namespace=self._namespace)

    def check_room(self, n_shards: int) -> None:
        """Refuse more shards than the cluster's CPUs can run; see `Launcher.check_room`."""
        if self._shard_cpus * _SHARDS_A_CPU >= 1:
            return  # Ray keeps count of CPUs that shards take
        cpus = logical_cpus()
        if n_shards > _SHARDS_A_CPU * cpus:
            raise InvalidArgument(
                f"shards: expected at most {_SHARDS_A_CPU * cpus}, {_SHARDS_A_CPU} for each of the "
                f"{cpus} CPUs of the cluster; got {n_shards}: ask for fewer, or add nodes"
            )

    def stop(self, name: str) -> None:
        """Close the shards, end all actors, and wait until Ray has buried them."""
        actors = self._actors_of(name)
        router = actors.pop(names.router_actor(name), None)
        called = list(actors)
        closing = {n: actors[shard].close.remote(True) for n, shard in enumerate(called)}
        gather(closing, called.__getitem__, timeout_s=_CLOSE_S)
        for actor in [*actors.values(), *([router] if router is not None else [])]:
            ray.kill(actor)
        deadline = time.monotonic() + _DIE_S
        while self._actors_of(name) and time.monotonic() < deadline:
            time.sleep(0.02)

    def closed_if_empty(self, settings: CollectionSettings) -> bool:
        """Hold writes and count the records; see `Launcher.closed_if_empty`."""
        shards, holder = self._shards_of(settings), secrets.token_hex(8)
        is_empty = False
        try:
            _hold(shards, holder)
            asked = dict.fromkeys(range(len(shards)), ())
            replies = shards.ask_all("stats", asked, timeout_s=_ANSWER_S)
            is_empty = not any(stats.n_records for stats in replies.values())
        finally:
            if not is_empty:
                _release(shards, holder)
        return is_empty

    def stage(self, settings: CollectionSettings, folder: Path) -> None:
        """Have the shards copy their engines while writes wait; see `Launcher.stage`."""
        shards, holder = self._shards_of(settings), secrets.token_hex(8)
        every = range(len(shards))
        shards.ask_all("checkpoint", dict.fromkeys(every, ()), timeout_s=_STAGE_S)
        try:
            _hold(shards, holder)  # until each stages, or the supervisor is long gone
            copies = {n: (holder, str(settings.shard_folder(folder, n))) for n in every}
            for reply in shards.ask("stage", copies, timeout_s=_STAGE_S).values():
                if isinstance(reply, ParadoxError):
                    raise reply
        finally:
            _release(shards, holder)

    def _shards_of(self, settings: CollectionSettings) -> RayShards:
        find = partial(find_shards, settings.name, settings.shards, namespace=self._namespace)
        return RayShards(settings.name, find(), revived=find)

    def _start_shards(self, entry: Entry) -> dict[int, Ref]:
        """Start the shards that are not running; return what tells when they are ready."""
        started = {}
        for number, running in enumerate(self._running_shards(entry.settings)):
            if running is None:
                made = ShardConfig(
                    settings=entry.settings,
                    storage=str(entry.storage),
                    number=number,
                    threads=max(1, int(self._shard_cpus)),
                )
                actor = start_shard(made, namespace=self._namespace, num_cpus=self._shard_cpus)
                started[number] = actor.ready.remote()
        return started

    def _late(self, entry: Entry, n_late: int) -> DeadlineExceeded:
        """Return what to say of shards that did not open in time: no node may have room for them.

        Args:
            entry: the collection.
            n_late: how many of its shards they are.
        """
        asked, settings = self._shard_cpus, entry.settings
        nodes, free = cpus_of_nodes(), free_cpus()
        change = (
            "ask for fewer shards, start a Ray cluster whose first connect() gives them fewer CPUs "
            "by shard_cpus=, or add nodes"
            if asked
            else "the nodes may be too busy; Ray's logs tell more"
        )
        return DeadlineExceeded(
            f"collection {settings.name!r}: expected {settings.shards} shards to open within "
            f"{_OPEN_S:g} s, each on a node with {asked:g} CPUs free; {n_late} did not, where "
            f"nodes of {' + '.join(f'{cpus:g}' for cpus in nodes)} CPUs have {free:g} free in all; "
            f"{change}"
        )

    def _running_shards(self, settings: CollectionSettings) -> list[ActorHandle | None]:
        return [
            self._find(names.shard_actor(settings.name, number))
            for number in range(settings.shards)
        ]

    def _actors_of(self, collection: str) -> dict[str, ActorHandle]:
        """Return the collection's actors that are there, by name."""
        listed: list[dict[str, str]] = ray.util.list_named_actors(all_namespaces=True)
        found = {
            actor["name"]: self._find(actor["name"])
            for actor in listed
            if actor["namespace"] == self._namespace and names.is_of(actor["name"], collection)
        }
        return {name: actor for name, actor in found.items() if actor is not None}

    def _find(self, name: str) -> ActorHandle | None:
        with contextlib.suppress(ValueError):
            return ray.get_actor(name, namespace=self._namespace)
        return None


def _hold(shards: RayShards, holder: str) -> None:
    held = dict.fromkeys(range(len(shards)), (holder, 2 * _ANSWER_S))
    shards.ask_all("hold", held, timeout_s=_ANSWER_S)


def _release(shards: RayShards, holder: str) -> None:
    shards.ask("release", dict.fromkeys(range(len(shards)), (holder,)), timeout_s=_ANSWER_S)


class SupervisorActor(Supervisor):
    """The `Supervisor` of a Ray cluster, in its own process.

    Args:
        root: see `Supervisor`.
        namespace: see `RayLauncher`.
        shard_cpus: see `RayLauncher`.
    """

    def __init__(self, root: str, namespace: str, shard_cpus: float) -> None:
        super().__init__(Path(root), RayLauncher(namespace, shard_cpus))

    def ping(self) -> str:
        """Return the folder of the catalog."""
        return str(self.root)


_ACTOR = actor_class(SupervisorActor, concurrency={})


class SupervisorLink:
    """The supervisor of this Ray cluster, as a client calls it; started if there is none.

    Args:
        root: folder of the catalog, an absolute path; None takes the one there is, else the
            default.
        namespace: Ray namespace of all actors.
        shard_cpus: see `RayLauncher`; only told to a new supervisor.
        transport: how searches and writes of this client reach shards.
        timeout_s: how long the supervisor has to start.

    Raises:
        InvalidArgument: the supervisor that runs has another root.
        RetryableError: it does not answer in time.
    """

    def __init__(
        self,
        root: Path | None,
        *,
        namespace: str,
        shard_cpus: float = 0.0,
        transport: Transport = "sockets",
        timeout_s: float = _ANSWER_S,
    ) -> None:
        self.transport = transport
        self._root = root or config.home()
        self.namespace = namespace
        self._shard_cpus = shard_cpus
        self._actor = self._started()
        kept = Path(self.ask("ping", timeout_s=timeout_s))
        if root not in (None, kept):
            raise InvalidArgument(
                f"storage_root: the collections of this Ray cluster, in the namespace "
                f"{namespace!r}, are kept in '{kept}'; got '{root}'"
            )
        self.root = self._root = kept

    def ask(self, method: str, *args: Any, timeout_s: float = _ANSWER_S, **kwargs: Any) -> Any:
        """Call a method of `Supervisor`, again while the supervisor restarts.

        Raises:
            ParadoxError: what the method raised.
            RetryableError: the supervisor does not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = max(deadline - time.monotonic(), 0.0)
            try:
                ref = getattr(self._actor, method).remote(*args, **kwargs)
                return call(ref, "the supervisor", timeout_s=left_s)
            except ActorGone:
                self._actor = self._started()
            except ShardUnavailable:
                time.sleep(_RETRY_S)
            if time.monotonic() >= deadline:
                raise DeadlineExceeded(f"the supervisor: no answer within {timeout_s:g} s")

    def _started(self) -> ActorHandle:
        actor = _ACTOR.options(
            name=names.SUPERVISOR,
            namespace=self.namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=_SUPERVISOR_CALLS,
        )
        try:
            return actor.remote(str(self._root), self.namespace, self._shard_cpus)
        except RayError as error:  # the head of the cluster does not answer
            raise translated(error, "the supervisor") from None
