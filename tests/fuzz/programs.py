"""Drivers of this folder, built with the native core."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tests.kernels.program import HERE, NATIVE, Program

GRAPH = tuple(
    f"graph/{source}"
    for source in (
        *("bulk_build", "bypass", "components", "directions", "edges", "frontier", "graph"),
        *("graph_search", "insertion", "product_edges", "saved_graph", "sweep", "walk"),
    )
)
IVF = tuple(
    f"ivf/{source}"
    for source in ("coarse", "inverted_list", "ivf", "ivf_search", "kmeans", "upkeep")
)
CHUNKS_APART = os.path.relpath(Path(__file__).parent / "chunks_apart", NATIVE / "src")
"""In place of `graph/chunks`."""


def program(
    driver: str, *sources: str, kernels: Mapping[str, list[str]], flags: list[str], needs: str
) -> Program:
    """Return how to build a driver with sources, and with kernels by flags of their own."""
    return Program(
        "g++",
        {source: [] for source in ("thread_pool", "graph/rotation", *sources)} | dict(kernels),
        flags,
        needs,
        driver=os.path.relpath(Path(__file__).parent / f"{driver}.cpp", HERE),
    )
