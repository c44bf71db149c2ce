from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import datasets
from benchmarks.datasets import Dataset, intrinsic_dimension
from paradox.core.errors import InvalidArgument


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARADOX_CACHE", str(tmp_path))


@pytest.mark.parametrize("dim", [2, 8])
def test_the_intrinsic_dimension_is_that_of_the_surface(dim: int) -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(dim, 64))
    points = (rng.uniform(-1, 1, size=(20_000, dim)) @ plane).astype(np.float32)
    dataset = Dataset("plane", "l2", points[300:], points[:300])
    assert intrinsic_dimension(dataset) == pytest.approx(dim, rel=0.15)


def test_the_synthetic_set_depends_on_its_seed_alone() -> None:
    first = datasets.load("manifold-128", 500, seed=1)
    assert first.base.shape == (500, 128)
    assert first.queries.shape == (1_000, 128)
    np.testing.assert_array_equal(datasets.manifold(1_500, 128, seed=1)[:500], first.base)
    assert not np.array_equal(datasets.load("manifold-128", 500, seed=2).base, first.base)


def test_queries_are_not_in_the_base() -> None:
    dataset = datasets.load("manifold-128", 500)
    both = np.concatenate([dataset.base, dataset.queries])
    assert len(np.unique(both, axis=0)) == len(both)


def test_an_unknown_set_is_told_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match=r"text-minilm-384.*got 'sift'"):
        datasets.load("sift")
