"""The native graph, at the level the other kernels use."""

from __future__ import annotations

from paradox._native.graph import Graph
from paradox.kernels.level import isa

BLOCK_EDGES = 32
"""A node's edges are a multiple of this."""
MOST_NODES = 2**31
"""Nodes of one graph."""


def empty_graph(
    dim: int, *, inner_product: bool, degree: int, build_effort: int, seed: int
) -> Graph:
    """Return a graph without nodes.

    Args:
        dim: dimension of the vectors.
        inner_product: nearest is of greatest inner product; else of least Euclidean distance.
        degree: edges of a node, a multiple of `BLOCK_EDGES`.
        build_effort: width of the searches that look for a node's neighbours.
        seed: of the rotation and of all choices at random.
    """
    return Graph(isa(), dim, inner_product, degree, build_effort, seed)
