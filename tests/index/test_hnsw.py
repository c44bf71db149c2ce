"""What hnswlib cannot do by itself."""

from __future__ import annotations

import numpy as np

from paradox import index


def test_vectors_come_where_nearly_all_were_removed() -> None:
    """hnswlib 0.8 ends the process where an insertion meets none but deleted nodes."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        seed = int(rng.integers(1_000))
        made = index.create(
            "hnsw", dim=4, metric="l2", M=4, ef_construction=20, build_threads=1, seed=seed
        )
        n, live = 0, np.empty(0, np.int64)
        for n_more in (600, *rng.integers(1, 300, 6)):
            some = rng.integers(-4, 5, (n_more, 4)).astype(np.float32)
            made.add(np.arange(n, n + n_more), some)
            live = np.concatenate([live, np.arange(n, n + n_more)])
            n += n_more
            dead = live[rng.random(len(live)) < 0.9]
            made.remove(dead)
            live = np.setdiff1d(live, dead)
        left, vectors = made.get(live)
        np.testing.assert_array_equal(np.sort(left), live)
        np.testing.assert_allclose(made.search(vectors, 1, effort=50).distances, 0)
