"""The libraries that Paradox is measured against, each used as its documentation says.

One face for all (`contestant`), a file per family, and the peers by name (`registry`).
"""

from benchmarks.peers.contestant import (
    Adjustable,
    Approximate,
    CannotTake,
    Changing,
    Contestant,
    Filtered,
    Graph,
    Ids,
    directions,
)
from benchmarks.peers.registry import APPROXIMATE, CHANGING, FILTERED, SCANS, missing

__all__ = [
    "APPROXIMATE",
    "CHANGING",
    "FILTERED",
    "SCANS",
    "Adjustable",
    "Approximate",
    "CannotTake",
    "Changing",
    "Contestant",
    "Filtered",
    "Graph",
    "Ids",
    "directions",
    "missing",
]
