"""What a query costs beyond the search itself: the way to the shards, beside a bare actor call.

    python -m benchmarks.overhead [--data text-minilm-384] [--n 20000]

Single queries, in turns in one run: the engine in this process, with all rows and with those of
one shard; one shard and four through the client, which plans and fans out by itself, over sockets
and over Ray's calls; four through the router actor; and one and four actors that only take a query
and return an answer of the same size.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import ray

import paradox
from benchmarks import datasets
from benchmarks.datasets import Dataset
from benchmarks.report import Benchmark, Row, progress, row
from benchmarks.timing import interleaved
from benchmarks.truth import Truth
from paradox.core.types import F32Matrix, I64Matrix, Neighbors

K = 10
GOAL, GOAL_P99 = 0.4, 1.0
"""Four shards through the client beyond a shard's own search, in bare round trips."""
BARE = "bare actor round trip"
BARE_FOUR = "bare fan-out to four actors"
FOUR = "four shards, client"
QUARTER = "engine in process, a shard's rows"
QUICK_N = 10_000
FULL_N = 20_000
_ADD_ROWS = 5_000


@dataclass(slots=True)
class Way:
    """A way to an answer, and how many shards gave it."""

    search: Callable[[F32Matrix], Neighbors]
    shards_touched: int = 0
    asked: int = 0

    def __call__(self, query: F32Matrix) -> I64Matrix:
        """Answer a (1, dim) query."""
        found = self.search(query)
        self.shards_touched += found.shards_touched
        self.asked += 1
        return found.ids


class Echo:
    """The bare actor: an answer's worth of bytes for a query's worth."""

    def __init__(self, k: int) -> None:
        self._answer = np.zeros((1, k), np.int64), np.zeros((1, k), np.float32)

    def answer(self, query: F32Matrix) -> tuple[I64Matrix, F32Matrix]:
        """Return zeros."""
        return self._answer


def measure(given: argparse.Namespace) -> Iterator[Row]:
    """Measure all ways in turns."""
    data = given.data or ("manifold-128" if given.quick else "text-minilm-384")
    n = given.n or (QUICK_N if given.quick else FULL_N)
    dataset = datasets.load(data, n, seed=given.seed)
    queries = dataset.queries[: 200 if given.quick else None]
    with ExitStack() as stack:
        ways = _ways(dataset, given.index, given.recall, stack)
        bare: Any = ray.remote(Echo).options(num_cpus=0)
        actors = [bare.remote(K) for _ in range(4)]
        for actor in actors:
            stack.callback(ray.kill, actor)
        progress("measuring, in turns")
        searches: dict[str, Callable[[F32Matrix], object]] = {
            BARE: lambda query: ray.get(actors[0].answer.remote(query)),
            BARE_FOUR: lambda query: ray.get([actor.answer.remote(query) for actor in actors]),
            **ways,
        }
        timings = interleaved(searches, queries, rounds=10)
        truth = Truth.of(queries, dataset.base, K, dataset.metric)
        where = f"{dataset.label} {dataset.metric}, {given.index}"
        for name, timing in timings.items():
            case = f"{where}: {name}" if name in ways else name
            yield row(case, "p50 µs", timing.p50_us)
            yield row(case, "p99 µs", timing.p99_us)
            yield row(case, "× bare p50", timing.p50_us / timings[BARE].p50_us)
            if name in ways and name != QUARTER:
                yield from _quality(case, ways[name], queries, dataset, truth)
        case = f"{where}: {FOUR}, beyond a shard's own search, ÷ bare"
        for figure, goal in (("p50_us", GOAL), ("p99_us", GOAL_P99)):
            four, own, bare_us = (getattr(timings[of], figure) for of in (FOUR, QUARTER, BARE))
            name = f"times, {figure.removesuffix('_us')}"
            yield row(case, name, (four - own) / bare_us, target=goal, better="less")


def _quality(
    case: str, way: Way, queries: F32Matrix, dataset: Dataset, truth: Truth
) -> Iterator[Row]:
    found = np.concatenate([way(query[np.newaxis]) for query in queries])
    yield row(case, f"recall@{K}", truth.recall(found, queries, dataset.base))
    yield row(case, "shards touched", way.shards_touched / way.asked)


def _ways(dataset: Dataset, index: str, recall: float, stack: ExitStack) -> dict[str, Way]:
    """Fill an engine and the collections; the stack drops them."""
    dim, ids = dataset.base.shape[1], np.arange(len(dataset.base))
    progress(f"{dataset.label}: filling the engine")
    engine = paradox.LatentMemoryEngine(dim, metric=dataset.metric, index=index)
    engine.add(dataset.base, ids=ids)
    quarter = paradox.LatentMemoryEngine(dim, metric=dataset.metric, index=index)
    quarter.add(dataset.base[::4], ids=ids[::4])
    ways = {
        "engine in process": Way(partial(engine.query, k=K, recall=recall)),
        QUARTER: Way(partial(quarter.query, k=K, recall=recall)),
    }
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="paradox-overhead-"))
    namespace = f"overhead-{secrets.token_hex(4)}"
    client = stack.enter_context(
        paradox.connect(storage_root=folder, namespace=namespace, transport="sockets")
    )
    by_ray = stack.enter_context(paradox.connect(namespace=namespace, transport="ray"))
    for name, shards, partition in (
        ("one shard, client", 1, "hash"),
        (FOUR, 4, "hash"),
        ("four shards by meaning, client", 4, "semantic"),
    ):
        progress(f"{dataset.label}: filling {name}")
        collection = client.create(
            f"{shards}-{partition}",
            dim=dim,
            metric=dataset.metric,
            index=index,
            shards=shards,
            partition=partition,
        )
        stack.callback(client.drop, collection.name)
        for start in range(0, len(ids), _ADD_ROWS):
            part = slice(start, start + _ADD_ROWS)
            collection.add(dataset.base[part], ids=ids[part])
        ways[name] = Way(partial(collection.query, k=K, recall=recall))
        if name == FOUR:
            routed = partial(collection.query, k=K, recall=recall, via_router=True)
            ways["four shards, router"] = Way(routed)
            called = by_ray.get(collection.name)
            ways["four shards, client, Ray calls"] = Way(partial(called.query, k=K, recall=recall))
    return ways


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=datasets.names())
    parser.add_argument("--n", type=int, help="rows of the base")
    parser.add_argument("--index", default="graph", help="index backend (graph)")
    parser.add_argument("--recall", type=float, default=0.95)


BENCHMARK = Benchmark("overhead", "what the way through Ray adds to a query", measure, _options)

if __name__ == "__main__":
    BENCHMARK.main()
