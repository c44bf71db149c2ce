"""`benchmarks.routing_sim`, on little data, and its oracle on answers made up."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import datasets, routing_sim

pytestmark = pytest.mark.usefixtures("own_cache")


def test_the_oracle_asks_where_most_is_first():
    held = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0]])
    assert routing_sim._oracle(held, 0.70) == 1.0
    assert routing_sim._oracle(held, 0.95) == 1.5
    assert routing_sim._oracle(held, 1.00) == 2.0
    assert routing_sim._oracle(held, 0.10) == 1.0  # no fewer than one a query


def test_what_shards_hold_is_counted_from_the_exact_answers():
    world = routing_sim.World.made(datasets.load("manifold-128", 2_000), 4, seed=0)
    assert world.held.shape == (1_000, 4)
    np.testing.assert_allclose(world.held.sum(axis=1), 1)
    base, query = world.dataset.base.astype(float), world.dataset.queries[7].astype(float)
    nearest = np.argsort(((base - query) ** 2).sum(axis=1))[: routing_sim.K]
    expected = np.bincount(world.home[nearest], minlength=4) / routing_sim.K
    np.testing.assert_allclose(world.held[7], expected)


def test_the_planner_asks_no_fewer_than_the_oracle_and_fewer_than_all(capsys):
    report = routing_sim.BENCHMARK.main(
        ["--data", "manifold-128", "--n", "4000", "--shards", "8", "--json", "--quick"]
    )
    assert json.loads(capsys.readouterr().out)["benchmark"] == "routing_sim"
    figures = {(row.case.partition(": ")[2], row.figure): row.value for row in report.rows}
    oracle = figures["oracle", "shards a query"]
    for way in ("a set for each query", "a threshold learnt"):
        assert figures[way, "recall@10"] >= 0.93
        assert oracle <= figures[way, "shards a query"] <= 8
    assert figures["partition", "max ÷ mean size"] < 1.5
