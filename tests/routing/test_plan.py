from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import asked

from paradox.core.errors import InvalidArgument
from paradox.routing import QueryBudget, QueryPlan
from paradox.routing.plan import rows_asked, split_recall


def _plan(queries_by_shard, shares, shards, complete=False):
    rows = {shard: np.array(rows, np.int64) for shard, rows in queries_by_shard.items()}
    return QueryPlan(rows, np.array(shares, np.float32), shards, complete)


@pytest.fixture
def plan():
    """Two queries and shards 2, 5 and 7, of which none asks the last."""
    return _plan({2: [0, 1], 5: [1]}, [[0.9, 0.1, 0], [0.25, 0.7, 0.05]], (2, 5, 7))


@given(st.floats(1e-6, 1))
@settings(deadline=None, derandomize=True)
def test_two_stages_at_half_the_loss_each_reach_the_recall(recall):
    share = split_recall(recall)
    assert recall <= share <= 1
    assert share * share >= recall - 1e-12
    assert QueryBudget(recall=recall).share == share


def test_a_budget_for_every_shard_wants_the_whole_answer():
    assert QueryBudget(recall=0.5, every_shard=True).share == 1
    assert QueryBudget(recall=1).share == 1
    assert QueryBudget().share == pytest.approx(0.975)


@pytest.mark.parametrize("recall", [0, -0.1, 1.01, float("nan"), "0.9", True])
def test_a_recall_out_of_range_is_refused(recall):
    with pytest.raises(InvalidArgument, match="recall"):
        QueryBudget(recall=recall)


def test_shards_that_lose_nothing_leave_all_of_the_loss_to_the_plan():
    assert QueryBudget(recall=0.9, exact_shards=True).share == 0.9
    assert QueryBudget(recall=0.9, exact_shards=True, every_shard=True).share == 1


def test_a_budget_of_no_shards_is_refused():
    with pytest.raises(InvalidArgument, match=r"max_shards: expected 1 or more; got 0"):
        QueryBudget(max_shards=0)


def test_the_shards_of_a_query_are_told_the_likeliest_first(plan):
    assert plan.shards_of(0) == (2,)
    assert plan.shards_of(1) == (5, 2)


def test_a_plan_says_in_words_which_shards_are_asked_and_why(plan):
    assert plan.explain().splitlines() == [
        "asks 1.5 of 3 shards (mean of 2)",
        "query 0 expects of its answer: 90% in shard 2",
        "query 1 expects of its answer: 70% in shard 5, 25% in shard 2",
    ]


def test_what_each_shard_gave_is_told_beside_what_was_expected_of_it(plan):
    gave = np.array([[4, 0, 0], [2, 3, 0]])
    assert plan.explain(gave).splitlines()[1:] == [
        "query 0 expects of its answer: 90% in shard 2; and got 4 from shard 2",
        "query 1 expects of its answer: 70% in shard 5, 25% in shard 2; "
        "and got 3 from shard 5, 2 from shard 2",
    ]


def test_a_plan_of_many_queries_is_told_in_few_lines():
    many = _plan({0: range(30)}, np.ones((30, 1)), (0,))
    lines = many.explain().splitlines()
    assert len(lines) == 12
    assert lines[-1] == "... and 20 more"


def test_a_plan_that_asks_nobody_says_so():
    empty = _plan({}, np.zeros((1, 2)), (0, 1), complete=True)
    assert empty.shards_of(0) == ()
    assert "nothing anywhere" in empty.explain()
    assert not rows_asked(empty).any()
    nothing = _plan({}, np.zeros((0, 2)), (0, 1))
    assert nothing.explain() == "asks 0 of 2 shards (mean of 0)"


def test_rows_asked_is_the_plan_as_a_table(plan):
    np.testing.assert_array_equal(rows_asked(plan), [[True, False, False], [True, True, False]])
    np.testing.assert_array_equal(rows_asked(plan), asked(plan))
