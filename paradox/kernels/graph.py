"""The native graph, at the level the other kernels use."""

from __future__ import annotations

from paradox._native import graph as native
from paradox.core.metric import METRICS, Metric
from paradox.kernels.level import isa

Graph = native.Graph
GraphView = native.GraphView

EVERY_NODE = 0
"""The effort that looks at all nodes."""

BLOCK_EDGES, MOST_EDGES = 32, 128
"""A node's edges are a multiple of the one, and at most the other."""


def empty_graph(
    dim: int,
    metric: Metric,
    *,
    degree: int,
    build_effort: int,
    seed: int,
    sketch: bool = False,
    compact: bool = False,
) -> Graph:
    """Return a graph without nodes.

    Args:
        dim: dimension of the vectors.
        metric: what nearest means; no vector may be zero under cosine.
        degree: edges of a node, a multiple of `BLOCK_EDGES`.
        build_effort: nodes expanded by a search for a node's neighbours.
        seed: of the rotation and of all choices at random.
        sketch: keep 1-bit codes of all nodes side by side, so that a search of much effort can
            look at all of them.
        compact: keep no codes of edges.
    """
    return Graph(isa(), dim, METRICS.index(metric), degree, build_effort, seed, sketch, compact)
