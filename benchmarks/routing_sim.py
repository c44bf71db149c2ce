"""Routing and gossip in the small and in the large, their own code without a cluster.

    python -m benchmarks.routing_sim [--part probes gossip] [--data glove-50] [--shards 16]

`probes`: how many shards a query needs and how many the planner asks, on real sets and in a
thousand shards. `gossip`: how fast what a shard publishes is known to all and a silent one is
passed by, in virtual time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks import datasets, probing, spreading
from benchmarks.report import Benchmark, Row
from paradox.routing import QueryBudget

PARTS = ("probes", "gossip")
FULL = (
    ("glove-50", probing.SHARDS),
    ("text-minilm-384", probing.SHARDS),
    ("tokens-576", probing.SHARDS),
    ("manifold-128", probing.MANY_SHARDS),
)
QUICK, QUICK_N = (("manifold-128", probing.SHARDS),), 20_000
GROUPS = (
    spreading.Case(8, 0.0, 100),
    spreading.Case(64, 0.0, 100),
    spreading.Case(64, 0.2, 100),
    spreading.Case(256, 0.0, 100, rounds=5),
    spreading.Case(256, 0.2, 100, rounds=8),
    spreading.Case(1_000, 0.0, 20, rounds=7),
    spreading.Case(1_000, 0.2, 20, rounds=8),
)
QUICK_GROUPS = (spreading.Case(64, 0.2, 10),)
AGES, AGES_S, QUICK_AGES_S = spreading.Case(64, 0.2, 0), 60.0, 3.0
DEATHS, ROUNDS, QUICK_ROUNDS = spreading.Case(8, 0.05, 0), 1_000_000, 5_000


def measure(given: argparse.Namespace) -> Iterator[Row]:
    """Measure each part."""
    if "probes" in given.part:
        yield from _probes(given)
    if "gossip" in given.part:
        for group in QUICK_GROUPS if given.quick else GROUPS:
            yield from spreading.rows(group)
        yield from spreading.ages(AGES, QUICK_AGES_S if given.quick else AGES_S)
        yield from spreading.deaths(DEATHS, QUICK_ROUNDS if given.quick else ROUNDS)


def _probes(given: argparse.Namespace) -> Iterator[Row]:
    sets: tuple[tuple[str, int], ...] = QUICK if given.quick else FULL
    if given.data:
        sets = tuple((data, given.shards or probing.SHARDS) for data in given.data)
    budget = QueryBudget(recall=given.recall, exact_shards=True)  # before minutes of training
    for data, n_shards in sets:
        n = given.n or (QUICK_N if given.quick else None)
        dataset = datasets.load(data, n, seed=given.seed)
        world = probing.World.made(dataset, n_shards, seed=given.seed)
        yield from probing.rows(world, budget)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--data", nargs="+", choices=datasets.names())
    parser.add_argument("--n", type=int, help="rows of the base")
    parser.add_argument(
        "--shards", type=int, help=f"of the sets that --data names ({probing.SHARDS})"
    )
    parser.add_argument("--recall", type=float, default=0.95)


BENCHMARK = Benchmark("routing_sim", "shards a query needs and gets; gossip", measure, _options)

if __name__ == "__main__":
    BENCHMARK.main()
