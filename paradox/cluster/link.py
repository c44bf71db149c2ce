"""One client's connection to the actors of one collection."""

from __future__ import annotations

from typing import Any

import ray

from paradox.cluster import names, wire
from paradox.cluster.actors import ActorHandle, call
from paradox.cluster.failures import ActorGone
from paradox.cluster.launch import SupervisorLink
from paradox.cluster.plane_shards import shards_over
from paradox.cluster.searcher import Searcher
from paradox.cluster.shard_actor import find_shards
from paradox.cluster.supervisor import Description
from paradox.cluster.writer import Writer
from paradox.core.errors import CollectionNotFound
from paradox.core.types import Neighbors
from paradox.routing import SearchRequest

_ROUTER_SLACK_S = 0.5  # the router keeps the deadline itself; its answer may take this much longer


class CollectionLink:
    """The actors of a collection, and what this client remembers of them.

    Args:
        description: of the collection.
        supervisor: the way to the supervisor.

    Raises:
        ActorGone: the collection's actors are not there (any more).
    """

    def __init__(self, description: Description, supervisor: SupervisorLink) -> None:
        self.description = description
        settings = self.settings = description.settings
        self._supervisor = supervisor
        self._router: ActorHandle | None = None
        self.shards = shards_over(
            supervisor.transport, settings.name, self._shard_actors(), revived=self._revived
        )
        self.searcher = Searcher(self.shards, settings)
        self.writer = Writer(
            settings,
            description.columns,
            self.shards,
            supervisor,
            wrote=self.searcher.summaries.wrote,
        )

    def revive(self) -> None:
        """Have actors that are gone for good started again, and go on with those.

        Raises:
            CollectionNotFound: the collection has been dropped.
        """
        self.shards.revive()
        self._router = None

    def search(self, request: SearchRequest, *, timeout_s: float, via_router: bool) -> Neighbors:
        """Answer a request, planned here or by the router; see `Searcher.search`."""
        if not via_router:
            return self.searcher.search(request, timeout_s=timeout_s)
        frame = wire.joined(wire.pack(request))
        also = self.searcher.summaries.unseen_writes()
        transport = self._supervisor.transport
        ref = self._router_actor().search.remote(frame, timeout_s, also, transport)
        who = f"the router of {self.settings.name!r}"
        frame = call(ref, who, timeout_s=timeout_s + _ROUTER_SLACK_S)
        answer: Neighbors = wire.unpack(wire.split(frame), Neighbors)
        return answer

    def _shard_actors(self) -> list[ActorHandle]:
        return find_shards(
            self.settings.name, self.settings.shards, namespace=self._supervisor.namespace
        )

    def _revived(self) -> list[ActorHandle]:
        """Return the shards after the supervisor has started those that are not running."""
        now: Description = self._supervisor.ask("get", self.settings.name)
        if now.settings.uid != self.settings.uid:
            raise CollectionNotFound(
                f"collection {self.settings.name!r} was dropped; there is a new one of that name"
            )
        return self._shard_actors()

    def _router_actor(self) -> Any:
        if self._router is None:
            name = names.router_actor(self.settings.name)
            try:
                self._router = ray.get_actor(name, namespace=self._supervisor.namespace)
            except ValueError as error:
                raise ActorGone(f"collection {self.settings.name!r} has no router") from error
        return self._router
