"""What was learnt of efforts is void once an index was made anew."""

from __future__ import annotations

import numpy as np

from paradox.kernels import oracle
from paradox.memory import LatentMemoryEngine


def test_the_recall_asked_is_reached_after_longer_vectors_came_under_inner_product():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(8_200, 32)).astype(np.float32)
    base[8_000:] *= 3
    queries = rng.normal(size=(100, 32)).astype(np.float32)
    with LatentMemoryEngine(dim=32, metric="ip", index="graph") as engine:
        engine.add(base[:8_000])
        engine.query(queries, k=10)
        engine.add(base[8_000:])
        found = engine.query(queries, k=10)
    truth = np.argsort(oracle.distances(queries, base, "ip"), axis=1, kind="stable")[:, :10]
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found.ids, truth, strict=True)]
    assert np.mean(hits) / 10 > 0.93
