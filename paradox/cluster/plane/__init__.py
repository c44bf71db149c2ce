"""The shards' own data plane: searches and writes over sockets, which Ray's calls are too slow for.

A shard answers at a `PlaneServer`; a client has `Lines` to all of them. Where these are, and the
keys without which nobody gets in, is learnt by a Ray call. Nothing in here knows Ray.
"""

from paradox.cluster.plane.calls import Limits, PlaneAddress
from paradox.cluster.plane.lines import Asked, Lines
from paradox.cluster.plane.server import Handler, PlaneServer

__all__ = ["Asked", "Handler", "Limits", "Lines", "PlaneAddress", "PlaneServer"]
