"""What is measured, behind one small face."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from paradox.core.types import F32Matrix, I64Vector

Ids: TypeAlias = npt.NDArray[np.integer[Any]]
"""(n_queries, k) ids, of the integer type that a library has."""

DEGREE = 32
CANDIDATES = 200
"""Edges of a node and candidates while building, as the literature compares graphs."""
STEP = 1.25
MOST_EFFORT = 100_000
"""Beyond what anything here needs: a climb ends where more brings nothing, or takes too long."""


class CannotTake(Exception):
    """A library cannot index such vectors, or under such a metric; the message says why."""


class Contestant(Protocol):
    """An index under measurement. Ids are positions in the base.

    Its searches are timed: they do what a user of the library has to, once an index is built, and
    leave the ids in the library's own type.
    """

    def build(self, base: F32Matrix, threads: int) -> None:
        """Index (n, dim) float32 rows; of length 1 where the metric is cosine."""
        ...

    def search(self, queries: F32Matrix, k: int, threads: int) -> Ids:
        """Return (n_queries, k) ids; one that no row has pads, such as -1."""
        ...


class Adjustable(Contestant, Protocol):
    """A contestant that answers better, and slower, with more effort.

    Attributes:
        effort: the knob: candidates kept (ef), or lists read (nprobe).
    """

    effort: int

    def efforts(self, k: int) -> Sequence[int]:
        """Return the efforts worth trying, least first."""
        ...


class Approximate(Adjustable, Protocol):
    """A contestant whose speed at a recall is searched for.

    Attributes:
        depth: a second knob: candidates, in multiples of k, that are scored again exactly.
        depths: the values of it worth trying; one where there is no such knob.
        threads_of_batches: the most threads that its answer to a batch uses.
    """

    depth: int
    depths: Sequence[int]
    threads_of_batches: int | None


class Filtered(Adjustable, Protocol):
    """A contestant that can be told which ids to return."""

    def allow(self, ids: I64Vector) -> None:
        """Make ready for searches that return none but these ids, until told others."""
        ...


class Changing(Adjustable, Protocol):
    """A contestant whose rows come and go once it is built."""

    def add(self, ids: I64Vector, rows: F32Matrix, threads: int) -> None:
        """Insert rows under ids that are not in it."""
        ...

    def remove(self, ids: I64Vector) -> None:
        """Remove rows by their ids."""
        ...


class Graph:
    """What graphs share: at least k candidates are kept."""

    effort = 10
    depth = 1
    depths: Sequence[int] = (1,)
    threads_of_batches: int | None = None

    def efforts(self, k: int) -> Sequence[int]:
        """See `Adjustable`."""
        return ladder(k)


class Lists(Graph):
    """What inverted lists share: one list may do."""

    effort = 1

    def efforts(self, k: int) -> Sequence[int]:
        """See `Adjustable`."""
        return ladder(1)


class RefinedLists(Lists):
    """What inverted lists of codes share whose best are scored again by their rows."""

    depth = 10
    depths: Sequence[int] = (4, 10, 30)

    def efforts(self, k: int) -> Sequence[int]:
        """See `Adjustable`."""
        return super().efforts(k)[::2]


def ladder(least: int) -> list[int]:
    """Return efforts from the least on, each about a quarter more than the one before."""
    efforts = [least]
    while (following := max(efforts[-1] + 1, round(efforts[-1] * STEP))) <= MOST_EFFORT:
        efforts.append(following)
    return efforts


def library(name: str) -> Any:
    """Return a module by name, untyped; it is imported in the process that measures it."""
    return import_module(name)


def padded(ids: npt.ArrayLike, n_queries: int, k: int) -> Ids:
    """Return a library's ids as (n_queries, k), as they are where they fit already."""
    given = np.asarray(ids)
    if given.shape == (n_queries, k):
        return given
    found = given.reshape(n_queries, -1)[:, :k]
    if found.shape[1] == k:
        return found
    all_k = np.full((n_queries, k), -1, np.int64)
    all_k[:, : found.shape[1]] = found
    return all_k


def widened(rows: F32Matrix, dim: int) -> F32Matrix:
    """Return the rows with zeros behind, which changes no distance, as `dim` dimensions."""
    if rows.shape[1] == dim:
        return rows
    wide = np.zeros((len(rows), dim), np.float32)
    wide[:, : rows.shape[1]] = rows
    return wide


def directions(rows: F32Matrix) -> F32Matrix:
    """Return the rows at length 1; a zero row as it is."""
    lengths: F32Matrix = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
