"""`benchmarks.routing_sim`, on little data, and its oracle on answers made up."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import datasets, probing, routing_sim, spreading

pytestmark = pytest.mark.usefixtures("own_cache")


def test_the_oracle_asks_where_most_is_first():
    held = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0]])
    assert probing._oracle(held, 0.70) == 1.0
    assert probing._oracle(held, 0.95) == 1.5
    assert probing._oracle(held, 1.00) == 2.0
    assert probing._oracle(held, 0.10) == 1.0  # no fewer than one a query


def test_what_shards_hold_is_counted_from_the_exact_answers():
    world = probing.World.made(datasets.load("manifold-128", 2_000), 4, seed=0)
    assert world.held.shape == (1_000, 4)
    np.testing.assert_allclose(world.held.sum(axis=1), 1)
    base, query = world.dataset.base.astype(float), world.dataset.queries[7].astype(float)
    nearest = np.argsort(((base - query) ** 2).sum(axis=1))[: probing.K]
    expected = np.bincount(world.home[nearest], minlength=4) / probing.K
    np.testing.assert_allclose(world.held[7], expected)


def test_the_planner_asks_no_fewer_than_the_oracle_and_fewer_than_all(capsys):
    report = routing_sim.BENCHMARK.main(
        [
            "--data",
            "manifold-128",
            "--n",
            "4000",
            "--shards",
            "8",
            "--json",
            "--quick",
            "--part",
            "probes",
        ]
    )
    assert json.loads(capsys.readouterr().out)["benchmark"] == "routing_sim"
    figures = {(row.case.partition(": ")[2], row.figure): row.value for row in report.rows}
    oracle = figures["oracle", "shards a query"]
    for way in ("a set for each query", "a threshold learnt"):
        assert figures[way, "recall@10"] >= 0.93
        assert oracle <= figures[way, "shards a query"] <= 8
    assert figures["partition", "max ÷ mean size"] < 1.5


def test_gossip_is_timed_on_the_network_it_is_simulated_on():
    figures = {row.figure: row for row in spreading.rows(spreading.Case(8, 0.2, 9, rounds=8.0))}
    assert 0.3 < figures["rounds until all know, p50"].value <= figures["p99"].value < 8
    assert figures["p99"].holds
    suspected = figures["silent one suspected by all, s, most"].value
    assert 0.2 < suspected < figures["held dead by all, s, most"].value


def test_what_was_not_heard_of_for_long_is_old(monkeypatch):
    case = spreading.Case(6, 0.0, 0)
    assert [row.value for row in spreading.ages(case, 2.0)] == [0, 0]
    monkeypatch.setattr(spreading, "LOAD_OLD_S", 0.02)
    monkeypatch.setattr(spreading, "SUMMARY_OLD_S", 0.4)
    loads, summaries = (row.value for row in spreading.ages(case, 2.0))
    assert 0.3 < loads <= 1
    assert 0.3 < summaries <= 1


def test_one_that_all_lose_is_held_dead_falsely_and_told(monkeypatch):
    case = spreading.Case(4, 0.0, 0)
    assert [row.value for row in spreading.deaths(case, 400)] == [0, 0]
    settled = spreading.Case.settled

    def cut_off(case):
        network = settled(case)
        network.part([0, 1, 2])
        return network

    monkeypatch.setattr(spreading.Case, "settled", cut_off)
    suspected, dead = spreading.deaths(case, 600)
    assert suspected.value == dead.value == 6  # three of one, and one of three
    assert dead.holds is False
