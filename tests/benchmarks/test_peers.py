"""Every peer that is installed and runs on this machine, used once for real."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import pairwise

import faiss
import numpy as np
import pytest

from benchmarks import peers
from benchmarks.own_process import ProcessFailed, in_own_process
from benchmarks.peers.contestant import ladder, padded, widened
from benchmarks.peers.faiss_index import LEAST_TRAINED, FaissLists, graphed_lists
from benchmarks.peers.registry import _MODULES
from benchmarks.timing import answers
from benchmarks.truth import Truth
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix, I64Matrix

K = 10
MOST_EFFORT = 1_000
FLOOR = 0.98
"""Recall to reach by rows as they are, codes of 8 bits, or whatever is scored again by rows."""
FLOORS = {
    "faiss-ivfrabitq": 0.93,  # the best 30 k of codes of 20 bits
    "glass-sq4": 0.88,
    "svs-leanvec": 0.95,  # half the dimensions, of data that need them all
    "symphonyqg-4bit": 0.88,
    "usearch-bf16": 0.97,
}
"""Of codes that allow no more: 0.01 to 0.03 below what came (two seeds, three metrics)."""
CANNOT_TAKE = {("glass-sq4", "ip"), ("turbovec", "l2")}
Climb = tuple[list[float], list[I64Matrix]]
"""The recall at rising efforts, and the last answers: in a batch, alone, on threads."""


@pytest.fixture(scope="module")
def rows() -> F32Matrix:
    return np.random.default_rng(0).normal(size=(3_000, 20)).astype(np.float32)


@pytest.fixture(scope="module")
def queries() -> F32Matrix:
    return np.random.default_rng(1).normal(size=(50, 20)).astype(np.float32)


def _scan(by: str, rows: F32Matrix, queries: F32Matrix) -> list[float]:
    """Return the recall under each metric, of all queries at once and of one alone."""
    recalls = []
    for metric in METRICS:
        scan = peers.SCANS[by](metric)
        scan.build(rows, 1)
        truth = Truth.of(queries, rows, K, metric)
        found = answers(partial(scan.search, k=K, threads=1), queries, len(queries))
        recalls.append(truth.recall(found, queries, rows))
        alone = answers(partial(scan.search, k=K, threads=2), queries[:1], 1)
        recalls.append(truth.slice(slice(1)).recall(alone, queries[:1], rows))
    return recalls


def _climbs(by: str, rows: F32Matrix, queries: F32Matrix) -> dict[Metric, Climb | str]:
    """Return what a peer finds under each metric, or why it does not take it."""
    found: dict[Metric, Climb | str] = {}
    for metric in METRICS:
        try:
            found[metric] = _climb(by, metric, rows, queries)
        except peers.CannotTake as error:
            found[metric] = str(error)
    return found


def _climb(by: str, metric: Metric, rows: F32Matrix, queries: F32Matrix) -> Climb:
    if metric == "cosine":
        rows, queries = peers.directions(rows), peers.directions(queries)
    peer = peers.APPROXIMATE[by](metric)
    peer.build(rows, 2)
    peer.depth = peer.depths[-1]
    truth = Truth.of(queries, rows, K, metric)
    recalls = []
    search = partial(peer.search, k=K, threads=1)
    for effort in (*peer.efforts(K)[::4][:5], MOST_EFFORT):
        peer.effort = effort
        found = answers(search, queries, len(queries))
        recalls.append(truth.recall(found, queries, rows))
    on_threads = partial(peer.search, k=K, threads=peer.threads_of_batches or 2)
    return recalls, [
        found,
        answers(search, queries, 1),
        answers(on_threads, queries, len(queries)),
    ]


def installed(names: Iterable[str]) -> list[str]:
    return [name for name in names if peers.missing(name) is None]


@pytest.fixture(scope="module", params=installed(peers.APPROXIMATE))
def climbs(
    request: pytest.FixtureRequest, rows: F32Matrix, queries: F32Matrix
) -> tuple[str, dict[Metric, Climb | str]]:
    """Uses a peer in one process; skips where the library does not run on such a machine."""
    try:
        return request.param, in_own_process(_climbs, request.param, rows, queries)
    except ProcessFailed as error:
        if any(reason in str(error) for reason in ("SIGILL", "not supported on")):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("by", installed(peers.SCANS))
def test_a_scan_is_exact(by: str, rows: F32Matrix, queries: F32Matrix) -> None:
    assert in_own_process(_scan, by, rows, queries) == pytest.approx([1] * 6, abs=0.005)


@pytest.mark.parametrize("metric", METRICS)
def test_a_peer_finds_the_nearest_with_enough_effort(
    metric: Metric,
    climbs: tuple[str, dict[Metric, Climb | str]],
    rows: F32Matrix,
    queries: F32Matrix,
) -> None:
    by, found = climbs
    climb = found[metric]
    assert isinstance(climb, str) == ((by, metric) in CANNOT_TAKE)
    if isinstance(climb, str):
        pytest.skip(climb)
    recalls, last = climb
    assert recalls[-1] >= FLOORS.get(by, FLOOR)
    assert recalls[-1] >= recalls[0] + 0.02  # so effort is what it obeys
    for ids in last:
        assert ids.shape == (len(queries), K)
        assert ((ids >= -1) & (ids < len(rows))).all()
        assert (ids == last[0]).mean() > 0.95


def _filtered_metric(by: str) -> Metric:
    return "ip" if by == "turbovec" else "l2"


def _filtered(by: str, rows: F32Matrix, queries: F32Matrix) -> list[I64Matrix]:
    """Return what a peer finds through a wide filter, and through one with fewer rows than K."""
    peer = peers.FILTERED[by](_filtered_metric(by))
    peer.build(rows, 2)
    peer.effort = MOST_EFFORT
    peer.allow(np.arange(0, len(rows), 2))
    search = partial(peer.search, k=K, threads=1)
    wide = answers(search, queries, len(queries))
    peer.allow(np.array([7, 4]))
    return [wide, answers(search, queries[:1], 1)]


@pytest.mark.parametrize("by", installed(peers.FILTERED))
def test_a_filter_lets_pass_what_it_names(by: str, rows: F32Matrix, queries: F32Matrix) -> None:
    wide, narrow = in_own_process(_filtered, by, rows, queries)
    even = np.arange(0, len(rows), 2)
    assert (wide % 2 == 0).all()
    truth = Truth.among(even, queries, rows, K, _filtered_metric(by))
    assert truth.recall(wide, queries, rows) > 0.95
    assert narrow.shape in ((1, K), (1, 2))
    assert set(narrow[0].tolist()) <= {4, 7, -1}


def _changed(by: str, rows: F32Matrix) -> I64Matrix:
    """Return what a peer finds for each row once the first 500 of 2,000 gave way to others."""
    peer = peers.CHANGING[by]("l2", 500)
    peer.build(rows[:2_000], 2)
    peer.effort = 400
    peer.add(np.arange(2_000, 2_500), rows[2_000:2_500], 1)
    peer.remove(np.arange(500))
    peer.add(np.arange(2_500, 3_000), rows[2_500:], 1)
    return answers(partial(peer.search, k=K, threads=1), rows, len(rows))


@pytest.mark.parametrize("by", installed(peers.CHANGING))
def test_rows_that_came_are_found_and_those_that_went_are_not(by: str, rows: F32Matrix) -> None:
    found = in_own_process(_changed, by, rows)
    assert found.min() >= 500
    itself = (found == np.arange(len(rows))[:, np.newaxis]).any(axis=1)
    assert not itself[:500].any()
    assert itself[500:].mean() > 0.99


def test_faiss_makes_a_setting_and_sets_threads_once(
    monkeypatch: pytest.MonkeyPatch, rows: F32Matrix, queries: F32Matrix
) -> None:
    before = faiss.omp_get_max_threads()
    threads_set: list[int] = []
    monkeypatch.setattr(faiss, "omp_set_num_threads", threads_set.append)
    lists = FaissLists("l2", factory="IVF{nlist},Flat")
    lists.build(rows, before)
    for effort in (1, 40, 1, 40):
        lists.effort = effort
        for threads in (before, before, before + 1):
            lists.search(queries, K, threads)
    assert len(lists._made) == 2
    assert threads_set == [before, *(4 * [before + 1, before])][:-1]
    every = lists.search(queries, K, before)
    lists.allow(np.arange(1, len(rows), 2))
    assert (lists.search(queries, K, before) % 2 == 1).all()
    assert (every % 2 == 0).any()


@pytest.mark.parametrize(
    ("n", "nlist"), [(10_000_000, 65_536), (1_000_000, 16_384), (3_000, 64), (39, 1), (7, 1)]
)
def test_lists_found_by_a_graph_are_a_power_of_two_and_have_enough_rows(n: int, nlist: int) -> None:
    assert graphed_lists(n) == nlist
    assert nlist == 1 or n / nlist >= LEAST_TRAINED


def test_a_library_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.registry._MODULES", {"scann": "no_such_module"})
    assert peers.missing("scann") == "no_such_module is not installed"


def test_every_peer_names_the_module_it_needs() -> None:
    for by in peers.APPROXIMATE:
        assert by.partition("-")[0] in _MODULES


@pytest.mark.parametrize("least", [1, 10, 15, 100])
def test_a_ladder_starts_at_its_least_and_rises_by_a_quarter(least: int) -> None:
    steps = ladder(least)
    assert steps[0] == least
    assert all(a < b <= max(a + 1, a * 1.25 + 0.5) for a, b in pairwise(steps))
    assert 75_000 < steps[-1] <= 100_000


def test_short_answers_are_padded_and_long_ones_cut() -> None:
    short = padded(np.array([[3, 4]], np.uint32), 1, 3)
    assert short.tolist() == [[3, 4, -1]]
    assert padded(np.arange(6, dtype=np.uint64), 2, 2).tolist() == [[0, 1], [3, 4]]


def test_an_answer_that_fits_is_handed_on_as_it_is() -> None:
    fitting = np.array([[3, 4]], np.uint32)
    assert padded(fitting, 1, 2) is fitting


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64])
def test_ids_of_any_type_come_out_as_int64_and_what_pads_as_less_than_0(dtype: type) -> None:
    nothing = np.iinfo(dtype).max if np.iinfo(dtype).min == 0 else -1
    given = np.array([[5, nothing]], dtype)
    found = answers(lambda queries: given, np.zeros((2, 1), np.float32), 1)
    assert found.dtype == np.int64
    assert found.tolist() == [[5, -1], [5, -1]]


def test_widened_rows_end_in_zeros() -> None:
    rows = np.ones((2, 3), np.float32)
    assert widened(rows, 5).tolist() == [[1, 1, 1, 0, 0]] * 2
    assert widened(rows, 3) is rows


def test_directions_have_length_1_and_a_zero_row_stays() -> None:
    rows = np.array([[3, 4], [0, 0]], np.float32)
    assert peers.directions(rows).tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]
