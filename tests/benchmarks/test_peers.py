from __future__ import annotations

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.truth import Truth
from paradox.core.metric import METRICS, Metric
from paradox.core.types import F32Matrix


@pytest.fixture(scope="module")
def rows() -> F32Matrix:
    return np.random.default_rng(0).normal(size=(3_000, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def queries() -> F32Matrix:
    return np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)


def _scan(by: str, rows: F32Matrix, queries: F32Matrix) -> list[float]:
    """Return the recall under each metric, of all queries at once and of one alone."""
    recalls = []
    for metric in METRICS:
        scan = peers.SCANS[by](metric)
        scan.build(rows, 1)
        truth = Truth.of(queries, rows, 10, metric)
        recalls.append(truth.recall(scan.search(queries, 10, 1), queries, rows))
        alone = scan.search(queries[:1], 10, 2)
        recalls.append(truth.slice(slice(1)).recall(alone, queries[:1], rows))
    return recalls


def _climb(by: str, metric: Metric, rows: F32Matrix, queries: F32Matrix) -> float:
    peer = peers.GRAPHS_AND_LISTS[by](metric)
    peer.build(rows, 2)
    truth = Truth.of(queries, rows, 10, metric)
    peers.climb(peer, queries, 10, 0.9, truth, rows)
    return truth.recall(peer.search(queries, 10, 1), queries, rows)


@pytest.mark.parametrize("by", peers.installed(peers.SCANS))
def test_a_scan_is_exact(by: str, rows: F32Matrix, queries: F32Matrix) -> None:
    assert peers.in_own_process(_scan, by, rows, queries) == pytest.approx([1] * 6, abs=0.005)


@pytest.mark.parametrize("by", peers.installed(peers.GRAPHS_AND_LISTS))
def test_a_peer_climbs_to_the_recall_asked(by: str, rows: F32Matrix, queries: F32Matrix) -> None:
    assert peers.in_own_process(_climb, by, "cosine", rows, queries) >= 0.9
