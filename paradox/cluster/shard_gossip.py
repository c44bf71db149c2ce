"""What a shard tells the others of its collection, and what it hears of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from random import Random

from paradox.cluster import wire
from paradox.cluster.plane.gossiping import Gossiping
from paradox.cluster.plane.server import PlaneServer
from paradox.cluster.shard import Shard
from paradox.core.errors import ParadoxError
from paradox.routing.gossip import Gossip, GossipSettings


class ShardGossip:
    """The gossip of an open shard.

    Args:
        shard: open.
        server: where it answers; learns to answer gossip.
        n_shards: of the collection; shards are members by their numbers.
        find: see `Gossiping`.
    """

    def __init__(
        self, shard: Shard, server: PlaneServer, n_shards: int, find: Callable[[int], None]
    ) -> None:
        self._shard = shard
        gossip = Gossip(
            shard.number,
            shard.epoch,
            settings=GossipSettings(),
            random=Random(secrets.randbits(64)),
        )
        gossip.meet(range(n_shards))
        self._told: tuple[int, int] | None = None
        self.gossiping = Gossiping(gossip, server.address, find=find, before_tick=self._tell)
        server.learn(self.gossiping.handlers())

    def start(self) -> None:
        """Begin to tell, and to ask."""
        self.gossiping.start()

    def _tell(self, gossip: Gossip) -> None:
        """Have the gossip tell how the shard is now, and what it holds where that has changed."""
        try:
            summary = self._shard.newest_summary()
        except ParadoxError:
            gossip.tell(load=self._shard.load, healthy=False)
            return
        if summary is None:
            gossip.tell(load=self._shard.load, healthy=True)
            return
        gossip.tell(load=self._shard.load, healthy=True, n_live=summary.n_live)
        made_of = (summary.epoch, summary.seq)
        if made_of != self._told:
            self._told = made_of
            gossip.publish(wire.joined(wire.pack(summary)))
