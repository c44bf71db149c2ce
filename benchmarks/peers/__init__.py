"""The libraries that Paradox is measured against, each used as its documentation says.

One face for all (`contestant`), a file per family, and the peers by name (`registry`).
"""

from benchmarks.peers.contestant import Approximate, CannotTake, Contestant, Graph, directions
from benchmarks.peers.registry import APPROXIMATE, SCANS, installed, missing

__all__ = [
    "APPROXIMATE",
    "SCANS",
    "Approximate",
    "CannotTake",
    "Contestant",
    "Graph",
    "directions",
    "installed",
    "missing",
]
