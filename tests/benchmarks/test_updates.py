"""`benchmarks.updates`, on little data, on indexes that fail, and on figures made up."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks import churn, readers, updates
from benchmarks.curve import Measured, Point
from benchmarks.own_process import ProcessFailed
from benchmarks.report import Row
from benchmarks.truth import Truth
from paradox.core.types import F32Matrix, I64Matrix, I64Vector

pytestmark = pytest.mark.usefixtures("own_cache")


class Scan:
    """A scan of whatever rows it was given; subclasses do something wrong."""

    effort = 0

    def efforts(self, k: int) -> Sequence[int]:
        return [1]

    def build(self, base: F32Matrix, threads: int) -> None:
        self._ids, self._rows = np.arange(len(base)), np.array(base)

    def add(self, ids: I64Vector, rows: F32Matrix, threads: int) -> None:
        both = np.concatenate([self._rows, rows])  # before the ids, for readers without a lock
        self._rows, self._ids = both, np.concatenate([self._ids, ids])

    def remove(self, ids: I64Vector) -> None:
        kept = ~np.isin(self._ids, ids)
        self._rows, self._ids = self._rows[kept], self._ids[kept]

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        ids = self._ids
        return ids[Truth.of(queries, self._rows[: len(ids)], k, "l2").ids]


class Forgetful(Scan):
    def add(self, ids: I64Vector, rows: F32Matrix, threads: int) -> None:
        super().add(ids[1:], rows[1:], threads)


class Unwilling(Scan):
    def add(self, ids: I64Vector, rows: F32Matrix, threads: int) -> None:
        time.sleep(0.01)
        raise MemoryError("no room")


class Refusing(Scan):
    n_asked = 0

    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        self.n_asked += len(queries) == 1  # as readers ask
        if len(queries) == 1 and self.n_asked % 3 == 0:
            raise RuntimeError("ask again")
        return super().search(queries, k, threads)


class Confused(Scan):
    def search(self, queries: F32Matrix, k: int, threads: int) -> I64Matrix:
        found = super().search(queries, k, threads)
        if len(queries) == 1:  # as readers ask
            found[:, 1] = found[:, 0]
        return found


def _inserted(make: type[Scan]) -> readers.Inserted:
    case = readers.Case(
        data="manifold-128",
        n=300,
        n_inserted=20,
        seed=0,
        n_queries=20,
        threads=1,
        call_rows=10,
        idle_s=0.05,
    )
    dataset = case.loaded()
    before, after = (Truth.of(dataset.queries, dataset.base[:n], 10, "l2") for n in (300, 320))
    return readers.measure_case(case, make, before, after)


def test_an_index_that_does_all_right_has_no_errors_and_loses_nothing() -> None:
    found = _inserted(Scan)
    assert (found.n_errors, found.error, found.n_lost, found.found_share) == (0, "", 0, 1.0)
    assert found.idle.recall == found.beside.recall == 1.0
    for noticed in (found.idle, found.beside):
        assert 0 < noticed.p50_us <= noticed.p99_us
        assert noticed.queries_per_s > 0
    assert min(found.alone_per_s, found.beside_per_s) > 0


def test_records_that_cannot_be_found_are_lost() -> None:
    found = _inserted(Forgetful)
    assert (found.n_lost, found.n_errors) == (4, 0)
    assert found.found_share == 0.9


def test_a_writer_that_fails_inserts_nothing_and_goes_on() -> None:
    found = _inserted(Unwilling)
    assert (found.n_errors, found.n_lost) == (4, 40)
    assert found.beside_per_s == found.alone_per_s == 0
    assert found.error == "MemoryError: no room"


def test_a_search_that_raises_is_an_error_and_no_end() -> None:
    found = _inserted(Refusing)
    assert found.n_errors > 1
    assert (found.error, found.n_lost) == ("RuntimeError: ask again", 0)


def test_an_answer_that_has_an_id_twice_is_an_error() -> None:
    found = _inserted(Confused)
    assert found.n_errors > 0
    assert found.error.startswith("an answer of [")


def test_a_row_beside_which_k_equal_ones_are_found_is_not_lost() -> None:
    index = Scan()
    base = np.repeat(np.arange(2, dtype=np.float32), 30)[:, np.newaxis]
    base[59] = 7
    index.build(base[:59], 1)
    assert readers._n_missing(index, base, np.arange(59)) == 0
    assert readers._n_missing(index, base, np.arange(60)) == 1


def _case() -> churn.Case:
    return churn.Case(
        data="manifold-128",
        n=400,
        seed=3,
        n_queries=50,
        threads=1,
        call_rows=70,
        turns=2,
    )


def test_half_of_the_rows_change_and_their_number_never_does() -> None:
    case, held = _case(), [400]

    class Counting(Scan):
        def add(self, ids: I64Vector, rows: F32Matrix, threads: int) -> None:
            super().add(ids, rows, threads)
            held.append(len(self._ids))

    index = Counting()
    index.build(case.loaded().base[:400], 1)
    churn._churn(index, case.loaded().base, case)
    assert set(held) == {400}
    assert sorted(index._ids) == case.left().tolist()
    assert (case.left() < 400).sum() == 200


def test_an_index_that_changed_as_it_should_equals_a_fresh_one() -> None:
    case = _case()
    dataset = case.loaded()
    truth = Truth.among(case.left(), dataset.queries, dataset.base, 10, "l2")
    found = churn.measure_case(case, Scan, truth)
    for index in (found.churned, found.fresh):
        assert [point.effort for point in index.points] == list(churn.EFFORTS)
        assert {point.recall for point in index.points} == {1.0}
    lost = next(r for r in churn.rows("set", {"graph": found}) if r.figure == "recall lost, most")
    assert (lost.value, lost.holds) == (0.0, True)


def _flat(recall: float, speed: float) -> Measured:
    points = tuple(Point(effort, 1, recall, {"QPS": speed}) for effort in churn.EFFORTS)
    return Measured(1.0, 100.0, points)


def test_what_is_lost_is_held_against_the_goals() -> None:
    both = churn.Compared(churned=_flat(0.94, 80.0), fresh=_flat(0.96, 100.0))
    goals = {r.figure: r for r in churn.rows("set", {"graph": both}) if r.target is not None}
    assert {figure: round(r.value, 3) for figure, r in goals.items()} == {
        "recall lost, most": 0.02,
        "QPS at equal effort, least": 0.8,
        "QPS at recall 0.95": 0.0,
    }
    assert not any(r.holds for r in goals.values())
    assert not any(r.target for r in churn.rows("set", {"hnswlib": both}))


def _run(*options: str) -> tuple[Row, ...]:
    given = updates.BENCHMARK.options(["--quick", "--n", "1800", *options])
    report = updates.BENCHMARK.run(given)
    assert json.loads(report.as_json())["rows"]
    return report.rows


def test_a_quick_run_of_churn_compares_each_contestant_with_itself() -> None:
    rows = _run("--part", "churn", "--by", "graph", "hnswlib")
    lost = {r.peer: r for r in rows if r.figure == "recall lost, most"}
    assert lost.keys() == {None, "hnswlib"}
    assert lost[None].value < 0.05
    assert all(r.value > 0 for r in rows if r.figure.startswith("bytes/vector"))


def test_a_quick_run_beside_readers_loses_nothing() -> None:
    rows = _run("--part", "readers", "--by", "engine:graph", "hnswlib")
    [goal] = [r for r in rows if " goals: " in r.case]
    assert goal.target == 2.0
    ours = {r.figure: r for r in rows if r.peer is None and " inserted: " in r.case}
    assert (ours["lost, effort 400"].holds, ours["errors"].holds) == (True, True)
    recalls = [r.value for r in rows if r.figure == "recall@10" and r.peer is None]
    assert len(recalls) == 2
    assert min(recalls) > 0.9


def test_one_of_ours_whose_process_dies_misses_a_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object, limit_s: float) -> object:
        raise ProcessFailed("its process ended with SIGSEGV")

    monkeypatch.setattr(updates, "in_own_process", dies)
    rows = _run("--by", "graph", "hnswlib", "--part", "readers")
    assert [(r.figure, r.peer, r.holds) for r in rows] == [
        ("runs", None, False),
        ("runs", "hnswlib", None),
    ]
    assert rows[0].case.endswith("left out: its process ended with SIGSEGV, graph")


def test_errors_are_told_in_words() -> None:
    noticed = readers.Noticed(1.0, 1.0, 3.0, 0.96)
    found = readers.Inserted(10, noticed, noticed, 5.0, 4.0, 1.0, 0, 3, "RuntimeError: too small")
    rows = list(readers.rows("set", {"hnswlib": found}))
    assert any(r.case == "set first errors: RuntimeError, too small" for r in rows)
    assert not any(r.target for r in rows)
