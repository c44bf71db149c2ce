"""The graph under inner product, where some vectors are much longer than others."""

from __future__ import annotations

import numpy as np
import pytest

from paradox import index
from paradox.core.types import F32Matrix
from paradox.kernels import oracle


def factors(n: int, dim: int, seed: int) -> F32Matrix:
    """Return vectors as recommenders have them: norms differ by tenfold and more."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, dim)) * np.exp(-np.arange(dim) / 12)
    return (rows * rng.gamma(2, 0.5, size=(n, 1))).astype(np.float32)


@pytest.mark.parametrize("compact", [False, True])
def test_the_greatest_products_are_found_where_norms_are_uneven(compact: bool) -> None:
    base, queries = factors(8_000, 48, 0), factors(200, 48, 1)
    longest = np.linalg.norm(base, axis=1).argmax()
    base[[0, longest]] = base[[longest, 0]]  # or else the graph is built anew when it comes
    distances = oracle.distances(queries, base, "ip")

    def recall_of(graph: index.IndexBackend) -> float:
        truth = np.argsort(distances, axis=1, kind="stable")[:, :10]
        found = graph.search(queries, 10, effort=20)
        hits = [len(np.intersect1d(a, b)) for a, b in zip(found.ids, truth, strict=True)]
        return float(np.mean(hits)) / 10

    ids = np.arange(8_000)
    at_once, in_turn = (
        index.create("graph", dim=48, metric="ip", codes=False, compact=compact) for _ in range(2)
    )
    at_once.add(ids, base)
    assert recall_of(at_once) > 0.94  # 0.88 with edges to near nodes alone
    for some in (slice(0, 4_500), *(slice(i, i + 500) for i in range(4_500, 8_000, 500))):
        in_turn.add(ids[some], base[some])
    assert recall_of(in_turn) > 0.94  # 0.76; and 0.83 where insertions add none
    long = np.argsort(np.linalg.norm(base, axis=1))[-1_200:]
    at_once.remove(ids[long])
    distances[:, long] = np.inf
    assert recall_of(at_once) > 0.9  # 0.88 where bypasses add none
