"""Vectors to try the kernels on, and what a float32 distance is held to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from paradox import kernels
from paradox.core.metric import Metric
from paradox.kernels import level, oracle

Array: TypeAlias = npt.NDArray[Any]

DIMS = (1, 3, 7, 8, 15, 16, 17, 31, 97, 384, 768, 1025, 3072)
PAIRS = (("float32", "float32"), ("float32", "float16"), ("float32", "int8"), ("int8", "int8"))
"""dtypes of (queries, rows)."""


@contextmanager
def forced(isa: str) -> Iterator[None]:
    """Make `paradox.kernels` use one level."""
    before = level.chosen
    level.chosen = level.choose(isa)
    try:
        yield
    finally:
        level.chosen = before


def draw(seed: int, n: int, dim: int, dtype: str) -> Array:
    """Return (n, dim) normal values, or whole numbers of all of int8."""
    rng = np.random.default_rng([seed, n, dim])
    if dtype == "int8":
        return rng.integers(-128, 128, (n, dim), dtype=np.int8)
    return rng.standard_normal((n, dim)).astype(dtype)


def draw_pair(
    seed: int, n_queries: int, n_rows: int, dim: int, dtypes: tuple[str, str]
) -> tuple[Array, Array]:
    """Return queries and rows."""
    return draw(seed, n_queries, dim, dtypes[0]), draw(seed + 1, n_rows, dim, dtypes[1])


def misaligned(array: Array, *, offset: int = 1, gap: int = 3) -> Array:
    """Return a copy that begins `offset` bytes into its memory, `gap` bytes between the rows."""
    n, dim = array.shape
    stride = dim * array.itemsize + gap
    memory = np.full(offset + n * stride, 0xFF, np.uint8)  # as floats, NaN
    copy = np.ndarray((n, dim), array.dtype, memory.data, offset, (stride, array.itemsize))
    copy[...] = array
    return copy


def special_rows(dim: int, dtype: str) -> Array:
    """Return rows of zero, denormal, tiny, huge, mixed, infinite and NaN values, as dtype has."""
    base = draw(5, 1, dim, dtype)[0]
    if dtype == "int8":
        return np.stack([np.full_like(base, value) for value in (0, -128, 127)] + [base])
    info = np.finfo(dtype)
    least, greatest = info.smallest_subnormal, info.max
    signs = np.where(base < 0, -1, 1).astype(dtype)
    rows = [signs * value for value in (0, least, 1000 * least, info.tiny, greatest)]
    rows += [signs * np.sqrt(value).astype(dtype) for value in (info.tiny, greatest)]
    mixed = np.resize(np.array([least, 0, greatest, 1], dtype), dim)
    rows += [mixed, mixed[::-1], -signs * greatest, base * least, base]
    for value in (np.nan, np.inf, -np.inf, greatest, least):
        for at in {0, dim // 2, dim - 1}:
            row = base.copy()
            row[at] = value
            rows.append(row)
    return np.stack(rows).astype(dtype)


def drifting(dim: int) -> list[tuple[Array, Array]]:
    """Return queries (1, dim) and rows to each whose sums are rounded one way, time after time.

    Equal terms drift while the sum stays between two powers of two. Worse are small terms, each a
    little more than half the last place of the sum, after one in every place that begins a sum:
    the first 4 to 64 of one query to many, every 256th of the tile.
    """
    rng = np.random.default_rng([1, dim])
    size = (1 + rng.random((40, 1))).astype(np.float32)
    equal = np.repeat(size, dim, axis=1)
    ragged = (equal * (1 + 2.0**-22 * rng.integers(0, 4, (40, dim)))).astype(np.float32)
    pairs = [(np.full((1, dim), 1.3, np.float32), np.concatenate([equal, ragged]))]
    for period, width in ((256, 1), *((dim, width) for width in (4, 8, 16, 32, 64))):
        small = np.nextafter(np.float32(2.0**-12), np.float32(1))
        row = np.full((1, dim), small, np.float32)
        row[:, np.arange(dim) % period < width] = 1
        pairs.append((row, row))
    return pairs


def every_distance(queries: Array, rows: Array, metric: Metric, **options: Any) -> Array:
    """Return all distances (n_queries, n) as `top_k` finds them."""
    positions, found = kernels.top_k(queries, rows, len(rows), metric, **options)
    distances = np.empty_like(found)
    np.put_along_axis(distances, positions, found, axis=1)
    return distances


def check_distances(found: Array, queries: Array, rows: Array, metric: Metric) -> None:
    """Hold float32 distances (n_queries, n) to the error budget; infinite and NaN ones exactly.

    Where a sum of finite products may overflow float32 there is no bound: only NaN is refused.
    """
    assert found.dtype == np.float32
    truth = oracle.distances(queries, rows, metric)
    bound = _bound(queries, rows, metric)
    assert not np.isnan(found).any()
    assert metric == "ip" or (found >= 0).all()
    with np.errstate(invalid="ignore"):
        error = np.abs(found - truth)
    wrong = np.isfinite(bound) & ~(error <= bound)
    assert not wrong.any(), _first(wrong, found, truth, bound)
    finite = _bound(_finite_part(queries), _finite_part(rows), metric)
    wrong = np.isinf(bound) & np.isfinite(finite) & (found != truth)
    assert not wrong.any(), _first(wrong, found, truth, bound)


def check_selection(found: tuple[Array, Array], distances: Array, k: int, allow: Array) -> None:
    """Hold an answer to the kernel's own distances (n_queries, n), bit for bit."""
    positions, nearest = found
    assert positions.dtype == np.int64
    assert nearest.dtype == np.float32
    assert positions.shape == nearest.shape == (len(distances), k)
    allowed = np.flatnonzero(allow)
    n = min(k, len(allowed))
    order = allowed[np.argsort(distances[:, allowed], axis=1, kind="stable")[:, :n]]
    np.testing.assert_array_equal(positions[:, :n], order)
    np.testing.assert_array_equal(nearest[:, :n], np.take_along_axis(distances, order, axis=1))
    assert (positions[:, n:] == -1).all()
    assert (nearest[:, n:] == np.inf).all()


def _bound(queries: Array, rows: Array, metric: Metric) -> Array:
    query_norms = oracle.row_norms(queries)[:, np.newaxis]
    return kernels.error_bound(rows.shape[1], metric, query_norms, oracle.row_norms(rows))


def _finite_part(array: Array) -> Array:
    return np.where(np.isfinite(array), array, 0)


def _first(wrong: Array, found: Array, truth: Array, bound: Array) -> str:
    at = tuple(np.argwhere(wrong)[0].tolist())
    return f"{wrong.sum()} wrong; at {at} {found[at]!r}, not {truth[at]!r} by {bound[at]!r}"
