"""Lists that removals have left short are dissolved, and nothing is lost by it."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox import index
from paradox._native import ivf as native
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix, I64Vector
from paradox.index.ivf_file import dump
from paradox.kernels import available, oracle

N = 40_000
DIM = 24
N_TOPICS = 40


def topics(n: int, seed: int = 0) -> I64Vector:
    return np.random.default_rng(seed).integers(N_TOPICS, size=n)


def points(n: int, seed: int = 0) -> F32Matrix:
    rng = np.random.default_rng([seed, 1])
    centres = np.random.default_rng(7).normal(size=(N_TOPICS, DIM))
    spread = centres[topics(n, seed)] + 0.4 * rng.normal(size=(n, DIM))
    return np.ascontiguousarray(spread, np.float32)


def made(metric: Metric, ids: I64Vector, rows: F32Matrix, **options: Any) -> Any:
    created = index.create("ivf", dim=rows.shape[1], metric=metric, **options)
    created.add(ids, rows)
    return created


@cache
def _learnt(metric: Metric) -> Any:
    return made(metric, np.arange(N), points(N), keep="none")


def learnt(metric: Metric) -> Any:
    """Return an index of all points, which are not kept, by their row numbers."""
    return copy.deepcopy(_learnt(metric))


def recall(some: Any, queries: F32Matrix, rows: F32Matrix, ids: I64Vector, effort: int) -> float:
    truth = ids[oracle.top_k(queries, rows, 10, some.metric)[0]]
    found = some.search(queries, 10, effort=effort).ids
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)]))


def sizes(some: Any) -> Any:
    return dump(some._lists)[1]["sizes"]


def in_calls(some: Any, ids: I64Vector, n_calls: int) -> None:
    for part in np.array_split(np.random.default_rng(4).permutation(ids), n_calls):
        assert some.remove(part) == len(part)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_calls", [1, 20])
@pytest.mark.parametrize("what", ["at random", "topics"])
def test_what_is_left_is_found_as_if_it_had_been_all(
    metric: Metric, n_calls: int, what: str
) -> None:
    kept_topics = np.arange(36, N_TOPICS) if what == "topics" else np.arange(N_TOPICS)
    is_kept = np.isin(topics(N), kept_topics)
    if what == "at random":
        is_kept = np.random.default_rng(2).random(N) < 0.05
    rows, ids = points(N), np.arange(N)
    some = learnt(metric)
    before = some._lists.n_lists
    in_calls(some, ids[~is_kept], n_calls)
    fresh = made(metric, ids[is_kept], rows[is_kept], keep="none")
    assert before > 900
    assert some._lists.n_lists <= 1.1 * fresh._lists.n_lists
    assert (sizes(some) > 0).all()
    n_blocks, n_fresh_blocks = (each._lists.sizes()[2] for each in (some, fresh))
    assert n_blocks < 1.6 * n_fresh_blocks
    queries = points(200, 5)[np.isin(topics(200, 5), kept_topics)]
    for effort in (32, 64):
        expected = recall(fresh, queries, rows[is_kept], ids[is_kept], effort)
        assert recall(some, queries, rows[is_kept], ids[is_kept], effort) > expected - 0.02
    every = some.search(queries[:2], int(is_kept.sum()), effort=10**6)
    assert (np.sort(every.ids) == ids[is_kept]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_merging_errs_no_more_than_splitting(metric: Metric) -> None:
    """Both write residuals of 8 bits anew, from such residuals."""
    rows, ids = points(N), np.arange(N)

    def error(some: Any) -> float:
        found = some.search(queries := points(50, 5), 10, effort=10**6)
        pairs = zip(queries, found.ids, found.distances, strict=True)
        true = [oracle.distances(q[np.newaxis], rows[i], metric)[0] - d for q, i, d in pairs]
        return float(np.abs(true).mean())

    split = made(metric, ids[:2_000], rows[:2_000], keep="none")
    split.add(ids[2_000:], rows[2_000:])
    merged = learnt(metric)
    before = error(merged)
    in_calls(merged, np.random.default_rng(2).permutation(ids)[: N * 9 // 10], 10)
    assert merged._lists.n_lists < 120
    assert before < error(merged) < 1.2 * error(split)


@pytest.mark.parametrize("keep", ["float32", "float16", "none"])
@pytest.mark.parametrize("metric", METRICS)
def test_merged_lists_go_on_as_any_others(metric: Metric, keep: str, tmp_path: Path) -> None:
    """In memory, from a file and mapped: the same answers after the same changes."""
    rows, ids = points(N // 2), np.arange(N // 2) * 3
    some = made(metric, ids, rows, keep=keep)
    before = some._lists.n_lists
    path = tmp_path / "index.pdx"
    some.save(path)
    all_three = [some, *(index.load(path, mmap=m) for m in (False, True))]
    is_kept = topics(N // 2) >= 16
    queries = points(60, 5)
    for each in all_three:
        in_calls(each, ids[~is_kept], 3)
    assert 0.5 * before < some._lists.n_lists < 0.85 * before
    some.save(path)
    all_three += [index.load(path, mmap=m) for m in (False, True)]
    n_left = len(some)
    for step in range(3):
        allow = ids[is_kept][:: 3 + step]
        expected = [some.search(queries, 10, effort=16, allow=a) for a in (None, allow)]
        assert np.isin(expected[1].ids, allow).all()
        for each in all_three[1:]:
            for want, a in zip(expected, (None, allow), strict=True):
                got = each.search(queries, 10, effort=16, allow=a)
                np.testing.assert_array_equal(got.ids, want.ids)
                np.testing.assert_array_equal(got.distances, want.distances)
        for each in all_three:
            if step == 0:
                each.add(ids[~is_kept][:800], rows[~is_kept][:800])
            elif step == 1:
                assert each.remove(ids[~is_kept]) == 800
    assert {len(each) for each in all_three} == {n_left}
    assert recall(some, queries, rows[is_kept], ids[is_kept], 60) > 0.9
    for each in all_three:
        assert each.remove(ids) == n_left


def test_what_comes_back_splits_lists_again() -> None:
    rows, ids = points(N), np.arange(N)
    some = learnt("l2")
    some.remove(ids[1_000:])
    n_merged = some._lists.n_lists
    assert n_merged <= 25
    some.add(ids[1_000:], rows[1_000:])
    assert some._lists.n_lists > 4 * n_merged
    assert sizes(some).max() <= 512
    assert recall(some, points(100, 5), rows, ids, 40) > 0.95


def test_a_topic_comes_back_where_all_its_cells_were_left() -> None:
    """Of cells without lists none may be the nearest: rows would go to any list."""
    rows, topic = points(N), topics(N)
    some = learnt("l2")
    some.remove(np.flatnonzero(topic < 36))
    n_lists, n_cells = some._lists.sizes()[:2]
    assert n_cells < 2 * n_lists**0.5
    back = np.flatnonzero(topic < 4)
    some.add(back, rows[back])
    is_held = (topic < 4) | (topic >= 36)
    queries = points(400, 5)[topics(400, 5) < 4]
    assert recall(some, queries, rows[is_held], np.flatnonzero(is_held), 8) > 0.9


def test_nothing_left_is_learnt_anew() -> None:
    some = learnt("l2")
    some.remove(np.arange(N))
    assert len(some) == some._lists.n_lists == 0
    assert (some.search(points(3), 2).ids == -1).all()
    some.add(np.arange(N), points(N) + 9)
    assert some._lists.n_lists > 900


def test_replacing_all_rows_leaves_the_lists() -> None:
    """Lists are empty meanwhile; those that were learnt with next to no rows go."""
    some = learnt("l2")
    before = some._lists.n_lists
    some.add(np.arange(N), points(N))
    assert some._lists.n_lists > 0.95 * before


def crowd(n: int, at: float) -> F32Matrix:
    rows = 0.1 * np.random.default_rng(n).normal(size=(n, DIM))
    rows[:, 0] += at
    return np.ascontiguousarray(rows, np.float32)


def test_what_was_split_off_is_not_merged_back_while_the_rest_is_long() -> None:
    """Else a row more and one less, again and again, would each time split a list and merge it."""
    some = native.Ivf(available()[0], DIM, METRICS.index("l2"), 0)
    some.train(crowd(100, 0), 100, 1, 1)
    some.add(np.concatenate([crowd(508, 0), crowd(6, 50)]), np.arange(514), 1)
    assert some.n_lists == 2
    some.remove(np.array([513]))
    some.merge(1, 1)
    assert some.n_lists == 2
    some.remove(np.arange(270))
    some.remove(np.array([512]))
    some.merge(1, 1)
    assert some.n_lists == 1
    assert len(some) == 242


def test_rows_that_come_and_go_do_not_stir_the_lists() -> None:
    """With as many rows as before, hardly a list is dissolved or split."""
    rng = np.random.default_rng(3)
    some = learnt("l2")
    counts = [some._lists.n_lists]
    for seed in range(30):
        some.remove(gone := rng.choice(N, 400, replace=False))
        some.add(gone, points(400, 10 + seed))
        counts.append(some._lists.n_lists)
    assert np.abs(np.diff(counts)).sum() < 30


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("keep", ["float32", "none"])
def test_any_order_of_changes_is_answered_as_by_the_oracle(metric: Metric, keep: str) -> None:
    rng = np.random.default_rng(11)
    rows, topic = points(N // 4), topics(N // 4)
    live = np.ones(len(rows), bool)
    some = made(metric, np.arange(len(rows)), rows, keep=keep, lists=120)
    n_merged = 0
    for step in range(25):
        before = some._lists.n_lists
        if step % 3 == 2:
            more = np.flatnonzero(~live & (rng.random(len(rows)) < rng.random()))
            some.add(more, rows[more])
            live[more] = True
        else:
            is_gone = rng.random(len(rows)) < rng.choice([0.02, 0.3, 0.9])
            if step % 2:
                is_gone = np.isin(topic, rng.choice(N_TOPICS, 12, replace=False))
            less = np.flatnonzero(live & is_gone)
            assert some.remove(rng.permutation(less)) == len(less)
            live[less] = False
        n_merged += some._lists.n_lists < before
        ids = np.flatnonzero(live)
        if not len(ids):
            continue
        queries, k = rows[ids[:: len(ids) // 10 + 1]], min(10, len(ids))
        truth = ids[oracle.top_k(queries, rows[ids], k, metric)[0]]
        found = some.search(queries, k, effort=10**6)
        hits = [np.isin(a, b).mean() for a, b in zip(found.ids, truth, strict=True)]
        assert np.mean(hits) > (0.95 if keep == "none" else 0.999), step
        every = some.search(queries[:1], len(ids), effort=60)
        assert (np.sort(every.ids[0]) == ids).all()
    assert n_merged > 3
