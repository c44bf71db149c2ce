"""Inverted lists: the same on every level and with any threads, whatever is kept of the vectors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox import index
from paradox._native import ivf as native
from paradox.core.errors import InvalidArgument, ZeroVector
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix
from paradox.index.ivf_file import dump
from paradox.kernels import available, oracle

N = 5_000
LEVELS = [name for name in available() if name != "scalar"]


def points(n: int, dim: int = 24, seed: int = 0) -> F32Matrix:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(40, dim))
    spread = centres[rng.integers(40, size=n)] + 0.4 * rng.normal(size=(n, dim))
    return np.ascontiguousarray(spread, np.float32)


def lists(
    isa: str,
    metric: Metric,
    dim: int,
    n: int,
    *,
    threads: int = 1,
    n_lists: int = 30,
    merged: bool = False,
) -> native.Ivf:
    made = native.Ivf(isa, dim, METRICS.index(metric), 3)
    rows = points(n, dim)
    made.train(rows, n, n_lists, threads)
    made.add(rows, np.arange(n), threads)
    made.add(points(n // 4, dim, 1), np.arange(n, n + n // 4), threads)
    made.remove(np.arange(0, n, 9))
    if merged:
        made.remove(np.setdiff1d(np.arange(n), np.arange(0, n, 5)))
        made.merge(max(n_lists // 4, 1), threads)
        assert made.n_lists < n_lists or dim == 1  # all in two places, which cannot be split
    return made


def sections(made: native.Ivf) -> dict[str, Any]:
    fields, arrays = dump(made)
    return {**fields, **arrays}


def assert_equal(got: native.Ivf, expected: native.Ivf) -> None:
    one, other = sections(got), sections(expected)
    for name in other:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def made(metric: Metric = "l2", n: int = N, **options: Any) -> Any:
    created = index.create("ivf", dim=24, metric=metric, **options)
    created.add(np.arange(n) * 3, points(n))
    return created


def recall(found: Any, queries: F32Matrix, rows: F32Matrix, metric: Metric) -> float:
    truth = oracle.top_k(queries, rows, 10, metric)[0] * 3
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, truth, strict=True)]))


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 3, 31, 97, 384])
@pytest.mark.parametrize("merged", [False, True])
def test_every_level_makes_the_same_lists(isa: str, metric: Metric, dim: int, merged: bool) -> None:
    n = 1_500 if dim < 100 else 300
    expected, got = (lists(level, metric, dim, n, merged=merged) for level in ("scalar", isa))
    assert_equal(got, expected)
    rows, queries = np.concatenate([points(n, dim), points(n // 4, dim, 1)]), points(20, dim, 2)
    for matrix in (rows, rows.astype(np.float16), None):
        found = []
        for some in (expected, got):
            some.use_rows(matrix, np.arange(len(rows)))
            found.append(some.search(queries, 10, 5, None, len(some), 1))
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(other, one)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("merged", [False, True])
def test_lists_do_not_depend_on_the_threads(metric: Metric, merged: bool) -> None:
    some = (lists(available()[0], metric, 24, N, threads=t, merged=merged) for t in (3, 1))
    assert_equal(*some)


@pytest.mark.parametrize("metric", METRICS)
def test_codes_estimate_the_distances_they_stand_for(metric: Metric) -> None:
    """Without vectors, a distance errs by a few steps of an 8-bit residual."""
    codes, rows, queries = made(metric, keep="none"), points(N), points(30, seed=5)
    found = codes.search(queries, 10, effort=10**6)
    assert not found.certified
    for query, ids, distances in zip(queries, found.ids, found.distances, strict=True):
        true = oracle.distances(query[np.newaxis], rows[ids // 3], metric)[0]
        spread = oracle.distances(query[np.newaxis], rows, metric).std()
        assert np.abs(distances - true).max() < 0.01 * spread
    assert recall(found, queries, rows, metric) > 0.95


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("keep", ["float32", "float16", "none"])
def test_what_is_kept_survives_changes_and_files(metric: Metric, keep: str, tmp_path: Path) -> None:
    changed = made(metric, keep=keep)
    changed.add(np.arange(300) * 3, points(300, seed=2))
    assert changed.remove(np.arange(300, 700) * 3) == 400
    rows = np.concatenate([points(300, seed=2), points(N)[300:]])
    live = np.setdiff1d(np.arange(N), np.arange(300, 700))
    queries = points(40, seed=5)
    expected = changed.search(queries, 10, effort=60)
    changed.save(tmp_path / "index.pdx")
    for some in (changed, *(index.load(tmp_path / "index.pdx", mmap=m) for m in (False, True))):
        found = some.search(queries, 10, effort=60)
        np.testing.assert_array_equal(found.ids, expected.ids)
        truth = live[oracle.top_k(queries, rows[live], 10, metric)[0]] * 3
        hits = [np.isin(a, b).mean() for a, b in zip(found.ids, truth, strict=True)]
        assert np.mean(hits) > 0.9
        allow = live[::4] * 3
        assert np.isin(some.search(queries, 10, allow=allow).ids, allow).all()
        radius = float(found.distances[0, 4])
        assert len(some.range_search(queries[0], radius, limit=50).ids) >= 5
        some.remove(live[:50] * 3)
        some.add(live[:20] * 3, rows[live[:20]])
        assert len(some) == N - 430
        new = some.search(rows[live[:5]], 20, effort=60, allow=live[:20] * 3)
        assert (np.sort(new.ids) == live[:20] * 3).all()
        some.remove(live[:20] * 3)
        some.add(live[:50] * 3, rows[live[:50]])


def test_lists_that_grow_are_split() -> None:
    grown = made(n=2_000, keep="none", lists=4)
    before = grown._lists.n_lists
    for seed in range(1, 6):
        grown.add(np.arange(N) + 10**5 * seed, points(N, seed=seed))
    sizes = sections(grown._lists)["sizes"]
    assert before == 4
    assert grown._lists.n_lists > 20
    assert sizes.max() <= 4 * 2_000 / before
    queries, rows = points(40, seed=9), points(N, seed=5)
    found = grown.search(queries, 10, effort=20, allow=np.arange(N) + 5 * 10**5)
    truth = oracle.top_k(queries, rows, 10, "l2")[0] + 5 * 10**5
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, truth, strict=True)]) > 0.9


def test_equal_vectors_cannot_be_split() -> None:
    same = index.create("ivf", dim=8, metric="l2", keep="none")
    same.add(np.arange(3_000), np.ones((3_000, 8), np.float32))
    found = same.search(np.ones((1, 8), np.float32), 3_000)
    assert sorted(found.ids[0].tolist()) == list(range(3_000))


def test_lists_are_compacted_where_a_third_is_removed() -> None:
    some = made()
    some.remove(np.arange(0, N, 2) * 3)
    assert some._lists.n_removed <= N // 6
    some.remove(np.arange(1, N, 4) * 3)
    found = some.search(points(N)[3::400], 1, effort=40)
    assert found.ids[:, 0].tolist() == (np.arange(3, N, 400) * 3).tolist()


def test_a_mapped_index_holds_little(tmp_path: Path) -> None:
    made(keep="float16").save(tmp_path / "index.pdx")
    mapped = index.load(tmp_path / "index.pdx", mmap=True)
    stats = mapped.stats()
    assert stats.mapped_bytes >= N * (2 * 24 + 8)
    assert stats.resident_bytes < N * 50  # 128 signs stand for 24 dimensions


@pytest.mark.parametrize(
    ("options", "message"),
    [({"keep": "float8"}, "keep"), ({"lists": 0}, "lists"), ({"seed": -1}, "seed")],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        index.create("ivf", dim=8, metric="l2", **options)


def test_vectors_that_cannot_be_kept() -> None:
    half = index.create("ivf", dim=2, metric="cosine", keep="float16")
    codes = index.create("ivf", dim=2, metric="l2", keep="none")
    with pytest.raises(InvalidArgument, match="65504"):
        half.check(np.array([[1e6, 0]], np.float32))
    with pytest.raises(ZeroVector, match="row 0"):
        half.check(np.array([[1e-9, 0]], np.float32))
    with pytest.raises(InvalidArgument, match=r"up to 1e\+15.*row 1"):
        codes.check(np.array([[1, 0], [1e16, 0]], np.float32))
    with pytest.raises(InvalidArgument, match="keep='none'"):
        codes.get(np.arange(3))


def restored(saved: dict[str, Any], n: int, removed: int) -> bool:
    ids = np.arange(n)
    ids[::removed] = -1
    flat = {k: v.ravel() if isinstance(v, np.ndarray) else v for k, v in saved.items()}
    return native.Ivf("scalar", 24, METRICS.index("l2"), 3).restore(flat, ids)


def built(n: int = 300, removed: int = 9) -> dict[str, Any]:
    """Return what lists of n rows are saved as, one in so many removed."""
    made = native.Ivf("scalar", 24, METRICS.index("l2"), 3)
    made.train(points(n), n, 5, 1)
    made.add(points(n), np.arange(n), 1)
    made.remove(np.arange(0, n, removed))
    saved = sections(made)
    assert restored(saved, n, removed)
    return saved


@pytest.mark.parametrize(
    "name",
    [
        *("centres", "scales", "cells", "cell_centres", "cell_scales"),
        *("sizes", "blocks", "supplements", "origin"),
    ],
)
@pytest.mark.parametrize("change", [-1, 1])
def test_sections_of_another_length_are_never_read(name: str, change: int) -> None:
    saved = built()
    flat = saved[name].ravel()
    saved[name] = flat[:change] if change < 0 else np.concatenate([flat, flat[:change]])
    assert not restored(saved, 300, 9)
    saved[name] = flat[:0]
    assert not restored(saved, 300, 9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("scales", value) for value in (np.nan, -1, 1e20)),
        *(("cell_scales", value) for value in (np.inf, 1e20)),
        *((name, 4_096) for name in ("centres", "cell_centres")),  # products overflow their sums
        ("cells", 10**6),
        *(("sizes", n) for n in (-1, 10**6, 2**63 - 1)),
        *(("units", value) for value in (0.0, -1.0, np.nan, np.inf)),
        *(("origin", value) for value in (np.nan, 1e20)),
    ],
    ids=str,
)
def test_values_that_no_lists_have_are_refused(name: str, value: float) -> None:
    saved = built()
    saved[name].ravel()[1 if name == "sizes" else 0] = value
    assert not restored(saved, 300, 9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"longest": np.nan},
        {"longest": -1.0},
        {"farthest": np.inf},
        {"farthest": -1.0},
        {"split_size": 0},
    ],
    ids=str,
)
def test_fields_that_no_lists_have_are_refused(wrong: dict[str, Any]) -> None:
    assert not restored(built() | wrong, 300, 9)


@pytest.mark.parametrize("number", ["beyond", "removed", "twice", "behind the end"])
def test_numbers_of_no_rows_are_refused(number: str) -> None:
    """Each made a search read beyond the rows, or find what was removed."""
    saved = built()
    numbers = saved["blocks"][0, -128:].view(np.uint32)
    size = int(saved["sizes"][0])
    assert size % 32
    last = saved["blocks"][size // 32, -128:].view(np.uint32)
    assert (last[size % 32 :] == 2**32 - 1).all()
    used = np.flatnonzero(numbers != 2**32 - 1)
    if number == "behind the end":
        last[size % 32] = 9
    else:
        to = {"beyond": 300, "removed": 9, "twice": numbers[used[1]]}[number]
        numbers[used[0]] = to
    assert not restored(saved, 300, 9)


@pytest.mark.parametrize("at", [0, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_supplements_that_overflow_are_refused(at: int, value: float) -> None:
    saved = built()
    rows = saved["supplements"].view(np.float32)
    assert rows.shape[1] == (128 + 8) // 4 or rows.shape[1] == (96 + 8) // 4
    rows[:, at // 4] = value
    assert not restored(saved, 300, 9)


def test_queries_however_small_are_answered_under_inner_product() -> None:
    built, queries = made("ip"), points(30, seed=5)
    expected = built.search(queries, 10).ids
    np.testing.assert_array_equal(built.search(queries * np.float32(2.0**-120), 10).ids, expected)


@pytest.mark.parametrize("n_first", [1, 2_000])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
@pytest.mark.parametrize("metric", METRICS)
def test_first_vectors_need_not_be_like_those_that_come(
    metric: Metric, scale: float, n_first: int
) -> None:
    """One, or all but equal ones: what codes are in terms of was theirs for all that came after."""
    rows = scale * points(12_000)
    rows[:n_first] = rows[0] + 1e-6 * scale * points(n_first, seed=1)
    queries = scale * points(50, seed=5)
    some = index.create("ivf", dim=24, metric=metric, keep="none")
    for part in (slice(None, n_first), slice(n_first, None)):
        some.add(np.arange(12_000)[part], rows[part])
    truth = oracle.top_k(queries, rows, 10, metric)[0]
    found = some.search(queries, 10, effort=10**6).ids
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)]) > 0.94


def test_where_a_search_is_a_scan_so_is_a_filtered_one() -> None:
    """As those without a filter are: clusters of very different widths are tuned to it.

    Codes say too little there, and filtered answers to the same effort were 0.87 complete.
    """
    rng = np.random.default_rng(0)
    which = np.sort(rng.integers(50, size=6_000))
    wide = 10 ** rng.uniform(-3, 0, 50)
    centres = 5 * rng.normal(size=(50, 24))
    rows = (centres[which] + wide[which, np.newaxis] * rng.normal(size=(6_000, 24))).astype("f4")
    queries = rows[::60] + np.float32(1e-3)
    some = index.create("ivf", dim=24, metric="l2")
    some.add(np.arange(6_000), rows)
    effort = some._scanning_effort(10)
    assert some.search(queries, 10, effort=effort).certified
    for allow in (np.arange(0, 6_000, 3), np.arange(1_000, 6_000), np.arange(2_000, 4_000)):
        found = some.search(queries, 10, effort=effort, allow=allow)
        truth = allow[oracle.top_k(queries, rows[allow], 10, "l2")[0]]
        assert found.certified
        np.testing.assert_array_equal(np.sort(found.ids), np.sort(truth))


class Failing:
    """Lists of which one method finds no memory."""

    def __init__(self, lists: native.Ivf, at: str) -> None:
        self._lists = lists
        self._at = at

    def __len__(self) -> int:
        return len(self._lists)

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._at else getattr(self._lists, name)

    def _fail(self, *_: Any) -> None:
        raise MemoryError


@pytest.mark.parametrize("keep", ["float32", "none"])
@pytest.mark.parametrize("at", ["add", "remove", "merge", "train"])
def test_a_write_that_runs_out_of_memory_leaves_what_can_be_found(
    keep: str, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searches read beyond the rows, and ids that were replaced were lost."""
    rows, ids = points(6_000), np.arange(6_000)
    some = index.create("ivf", dim=24, metric="l2", keep=keep)
    if at != "train":
        some.add(ids[:3_000], rows[:3_000])
    whole = some._lists
    failing = Failing(whole, at)
    monkeypatch.setattr(some, "_lists", failing)
    monkeypatch.setattr("paradox.index.ivf.empty_lists", lambda *_, **__: failing)
    n_before = len(some)
    change = (
        partial(some.remove, ids[2_000:])
        if at == "remove"
        else partial(some.add, ids[1_000:], rows[1_000:] + 1)
    )
    with pytest.raises(MemoryError):
        change()
    monkeypatch.undo()
    some._lists = whole
    queries = rows[:1_000:50]
    found = some.search(queries, 10_000, effort=2**19)
    assert ((found.ids >= 0).sum(axis=1) == len(some)).all()
    if n_before:
        assert (found.ids[:, 0] == ids[:1_000:50]).all()
        assert np.isin(ids[:3_000], found.ids[0]).all()
    some.add(ids, rows)
    assert len(some) == 6_000
    assert (some.search(queries, 1, effort=2**19).ids[:, 0] == ids[:1_000:50]).all()
    assert some.remove(ids) == 6_000


def test_a_list_of_equal_vectors_is_not_split_again_and_again() -> None:
    lists = index.create("ivf", dim=24, metric="l2", lists=4, keep="none")
    lists.add(np.arange(N), points(N))
    same = np.tile(points(1, seed=3), (4_000, 1))
    ids = np.arange(10**6, 10**6 + len(same))
    lists.add(ids, same)
    lists.add(np.array([7]), same[:1])
    found = lists.search(same[:1], 10, effort=2**31 - 1)
    assert (found.distances < 1e-2).all()
    assert lists.remove(ids[:-2]) == len(ids) - 2  # many of one list in one pass
    found = lists.search(same[:1], 3, effort=2**31 - 1)
    assert sorted(found.ids[0].tolist()) == [7, *ids[-2:].tolist()]
    assert len(lists) == N + 2


def test_rows_removed_twice_in_one_call_are_removed_once() -> None:
    lists = index.create("ivf", dim=24, metric="l2")
    lists.add(np.arange(N), points(N))
    assert lists.remove(np.array([3, 3, 5, 5, 3, 10**6])) == 2
    assert len(lists) == N - 2
    assert lists.remove(np.array([3])) == 0


@pytest.mark.parametrize("metric", METRICS)
def test_a_query_too_long_for_what_is_kept_is_refused_or_answered(metric: Metric) -> None:
    lists = index.create("ivf", dim=24, metric=metric, keep="none")
    lists.add(np.arange(N), points(N))
    query = np.full((1, 24), 1e19, np.float32)
    if metric == "l2":
        with pytest.raises(InvalidArgument, match=r"queries: expected norms up to 1e\+15"):
            lists.search(query, 5)
    else:
        assert (lists.search(query, 5).ids >= 0).all()


def test_a_range_of_many_takes_no_more_memory_than_there_are() -> None:
    lists = index.create("ivf", dim=24, metric="l2", keep="none")
    lists.add(np.arange(N), points(N))
    found = lists.range_search(points(1, seed=5)[0], 1e9, limit=2**31 - 1)
    assert len(found.ids) == N
