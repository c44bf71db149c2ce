from __future__ import annotations

import numpy as np
import pytest

from paradox.core.errors import (
    CallerError,
    CorruptionError,
    DeadlineExceeded,
    FilterError,
    IndexFileCorrupt,
    ShardUnavailable,
    StorageUnavailable,
)
from paradox.core.types import NO_ID, Neighbors
from paradox.routing import QueryPlan, SearchRequest, execute, summarize

T = 1.5


class Port:
    """Shards that answer as they are told: with an error, with nothing, or with their record.

    Shard n holds one record, of id n, at distance n.
    """

    def __init__(self, **told):
        self.told = {int(name[1:]): reply for name, reply in told.items()}
        self.asked = {}
        self.timeout_s = None

    def search(self, requests, *, timeout_s):
        self.asked, self.timeout_s = dict(requests), timeout_s
        replies = {}
        for shard, request in requests.items():
            reply = self.told.get(shard, "answers")
            if isinstance(reply, Exception):
                replies[shard] = reply
            elif reply != "silent":
                shape = (len(request.queries), request.k)
                ids, distances = np.full(shape, NO_ID), np.full(shape, np.inf, np.float32)
                ids[:, 0], distances[:, 0] = shard, shard
                replies[shard] = Neighbors(ids, distances, certified=reply != "uncertain")
        return replies


def _summaries(*n_live):
    vectors = np.ones((20, 4), np.float32)
    return [
        summarize(vectors[:n], shard=shard, metric="l2", n_live=n, seq=1, epoch=1)
        for shard, n in enumerate(n_live)
    ]


def _plan(rows_by_shard, n_queries, n_shards, *, complete):
    rows = {shard: np.array(rows, np.int64) for shard, rows in rows_by_shard.items()}
    shares = np.full((n_queries, n_shards), 1 / n_shards, np.float32)
    return QueryPlan(rows, shares, tuple(range(n_shards)), complete)


def _all(n_queries, n_shards):
    return _plan(
        dict.fromkeys(range(n_shards), range(n_queries)), n_queries, n_shards, complete=True
    )


def _request(n_queries=1, k=3, **changes):
    return SearchRequest(np.arange(4 * n_queries, dtype=np.float32).reshape(-1, 4), k, **changes)


def _run(port, plan=None, request=None, n_live=(5, 3, 2)):
    plan = plan or _all(1, len(n_live))
    request = request or _request()
    return execute(plan, request, port, summaries=_summaries(*n_live), timeout_s=T).answer


def test_all_shards_asked_and_answering_make_a_whole_certified_answer():
    port = Port()
    answer = _run(port)
    assert answer.ids.tolist() == [[0, 1, 2]]
    assert answer.distances.tolist() == [[0, 1, 2]]
    assert (answer.shards_touched, answer.shards_missing, answer.coverage) == (3, (), 1.0)
    assert answer.certified
    assert port.timeout_s == T


def test_each_shard_gets_the_rows_that_concern_it():
    port = Port()
    request = _request(n_queries=3, k=2, effort=9, filter="n > 1")
    plan = _plan({0: [0, 1, 2], 2: [1]}, 3, 3, complete=False)
    answer = _run(port, plan, request)
    assert set(port.asked) == {0, 2}
    assert port.asked[0].queries is request.queries  # shared by all that get the whole
    np.testing.assert_array_equal(port.asked[2].queries, request.queries[1:2])
    assert all((r.k, r.effort, r.filter) == (2, 9, "n > 1") for r in port.asked.values())
    assert answer.ids.tolist() == [[0, NO_ID], [0, 2], [0, NO_ID]]
    assert not answer.certified


@pytest.mark.parametrize(("recall", "complete", "wanted"), [(0.9, True, 0.9), (0.9, False, 0.95)])
def test_shards_make_up_for_those_left_out_and_only_then(recall, complete, wanted):
    port = Port()
    _run(port, _plan({1: [0]}, 1, 3, complete=complete), _request(recall=recall))
    assert port.asked[1].recall == pytest.approx(wanted)
    _run(port, _plan({1: [0]}, 1, 3, complete=complete), _request(effort=4))
    assert port.asked[1].recall is None


def test_nothing_is_asked_of_nobody():
    port = Port()
    answer = _run(port, _plan({}, 1, 3, complete=True), n_live=(0, 0, 0))
    assert port.timeout_s is None
    assert answer.ids.tolist() == [[NO_ID] * 3]
    assert (answer.shards_touched, answer.shards_missing, answer.coverage) == (0, (), 1.0)
    assert not answer.certified  # there may be records by now


@pytest.mark.parametrize("reply", ["silent", ShardUnavailable("x"), IndexFileCorrupt("x", "f")])
def test_a_shard_that_does_not_answer_is_told_with_what_it_holds(reply):
    answer = _run(Port(s1=reply))
    assert answer.ids.tolist() == [[0, 2, NO_ID]]
    assert (answer.shards_touched, answer.shards_missing) == (2, (1,))
    assert answer.coverage == pytest.approx(0.7)
    assert not answer.certified


def test_coverage_is_that_of_the_query_that_lost_most():
    down = Port(s0=ShardUnavailable("x"), s1="silent")
    apart = _plan({0: [0], 1: [1], 2: [0, 1]}, 2, 3, complete=False)
    answer = _run(down, apart, _request(n_queries=2))
    assert (answer.shards_missing, answer.coverage) == ((0, 1), pytest.approx(0.5))
    together = _plan({0: [0, 1], 1: [1], 2: [0, 1]}, 2, 3, complete=False)
    assert _run(down, together, _request(n_queries=2)).coverage == pytest.approx(0.2)


def test_a_shard_left_out_by_the_plan_is_neither_missing_nor_lost():
    answer = _run(Port(s2="silent"), _plan({0: [0], 1: [0]}, 1, 3, complete=False))
    assert (answer.shards_missing, answer.coverage, answer.shards_touched) == ((), 1.0, 2)
    assert not answer.certified


def test_a_shard_said_to_be_empty_that_is_asked_and_down_is_missing_all_the_same():
    answer = _run(Port(s2="silent"), n_live=(5, 3, 0))
    assert (answer.shards_missing, answer.coverage, answer.certified) == ((2,), 1.0, False)


def test_one_shard_that_is_not_certain_leaves_the_answer_uncertain():
    assert not _run(Port(s1="uncertain")).certified


def test_a_complete_plan_of_certain_answers_is_certified_but_a_part_is_not():
    assert _run(Port(), _all(1, 3)).certified
    assert not _run(Port(), _plan({0: [0]}, 1, 3, complete=True)).certified  # others held nothing
    assert not _run(Port(), _plan({0: [0]}, 1, 3, complete=False)).certified


def test_the_callers_fault_is_raised_although_others_answered():
    with pytest.raises(FilterError, match="no such column"):
        _run(Port(s0=ShardUnavailable("x"), s2=FilterError("no such column")))
    assert issubclass(FilterError, CallerError)


def test_when_nobody_answers_in_time_the_deadline_is_exceeded():
    with pytest.raises(DeadlineExceeded, match=r"shards 0, 1, 2: no answer within 1.5 s"):
        _run(Port(s0="silent", s1=DeadlineExceeded("late"), s2="silent"))


def test_when_nobody_answers_the_shards_are_unavailable_and_the_reasons_told():
    port = Port(s0="silent", s1=StorageUnavailable("full", 7.0), s2=IndexFileCorrupt("bad", "f", 9))
    with pytest.raises(ShardUnavailable) as caught:
        _run(port)
    assert caught.value.retry_after_s == 1.0  # the soonest of those that may answer later
    for reason in ("shard 0: ", "full", "f at byte 9"):
        assert reason in str(caught.value)
    with pytest.raises(ShardUnavailable) as caught:
        _run(
            Port(s0=ShardUnavailable("restarting", 7.0), s1=ShardUnavailable("down", 3.0)),
            n_live=(5, 3),
        )
    assert caught.value.retry_after_s == 3.0


def test_when_all_are_corrupt_that_is_what_is_raised():
    first = IndexFileCorrupt("bad", "shard-0/index", 9)
    with pytest.raises(CorruptionError) as caught:
        _run(Port(s0=first, s1=IndexFileCorrupt("bad", "shard-1/index")), n_live=(5, 3))
    assert caught.value is first


def test_what_shards_gave_to_many_queries_is_told_of_the_first():
    plan = _plan({0: range(30)}, 30, 1, complete=True)
    done = execute(plan, _request(n_queries=30, k=1), Port(), summaries=_summaries(5), timeout_s=T)
    assert done.explain().count("and got 1 from shard 0") == 10
    assert done.explain().endswith("... and 20 more")


def test_what_each_shard_gave_is_told():
    port = Port(s1=ShardUnavailable("gone"))
    plan = _plan({0: [0, 1, 2], 1: [0], 2: [1, 2]}, 3, 3, complete=False)
    done = execute(
        plan, _request(n_queries=3, k=1), port, summaries=_summaries(5, 3, 2), timeout_s=T
    )
    assert done.answer.ids.tolist() == [[0], [0], [0]]
    assert done.given(np.array([0, 2])).tolist() == [[1, 0, 0], [1, 0, 0]]
    assert "; and got 1 from shard 0, 0 from shard 1\n" in done.explain()
    assert done.explain().endswith("\nno answer came from shards: 1")
    done = execute(
        plan, _request(n_queries=3, k=2), port, summaries=_summaries(5, 3, 2), timeout_s=T
    )
    assert done.given(np.array([0, 2])).tolist() == [[1, 0, 0], [1, 0, 1]]
