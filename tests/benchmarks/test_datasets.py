from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks import datasets
from benchmarks.datasets import intrinsic_dimension
from benchmarks.peers.contestant import directions
from benchmarks.truth import Truth
from examples.data import tokens
from paradox.core.errors import CorruptionError, InvalidArgument


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARADOX_CACHE", str(tmp_path))


@pytest.mark.parametrize("dim", [2, 8])
def test_the_intrinsic_dimension_is_that_of_the_surface(dim: int) -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(dim, 64))
    points = (rng.uniform(-1, 1, size=(20_000, dim)) @ plane).astype(np.float32)
    truth = Truth.of(points[:300], points[300:], 100, "l2")
    assert intrinsic_dimension(truth) == pytest.approx(dim, rel=0.15)


def test_directions_are_as_hard_under_either_metric() -> None:
    vectors = directions(datasets.manifold(5_000, 32, seed=0))
    l2, cosine = (
        intrinsic_dimension(Truth.of(vectors[:200], vectors[200:], 120, metric))
        for metric in ("l2", "cosine")
    )
    assert l2 == pytest.approx(cosine)


def test_products_have_no_intrinsic_dimension() -> None:
    vectors = datasets.manifold(1_000, 8, seed=0)
    assert intrinsic_dimension(Truth.of(vectors[:9], vectors[9:], 100, "ip")) is None


def test_a_set_of_products_keeps_its_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(1_500, 4)).astype(np.float32)
    metric, *_ = datasets._SETS["glove-50-ip"]
    monkeypatch.setitem(datasets._SETS, "glove-50-ip", (metric, 500, lambda n, seed: rows[:n]))
    dataset = datasets.in_memory(datasets.load("glove-50-ip"))
    assert dataset.metric == "ip"
    np.testing.assert_array_equal(dataset.base, rows[:500])
    np.testing.assert_array_equal(dataset.queries, rows[500:])


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


def test_the_hard_synthetic_set_is_harder() -> None:
    sets = [datasets.load(name, 20_000) for name in ("manifold-128", "manifold-hard-128")]
    assert [some.base.shape for some in sets] == 2 * [(20_000, 128)]
    easy, hard = (intrinsic_dimension(Truth.of(s.queries, s.base, 100, "l2")) for s in sets)
    assert hard > 1.3 * easy


def test_more_rows_than_a_set_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    few = np.zeros((1_500, 4), np.float32)
    monkeypatch.setitem(datasets._SETS, "few", ("l2", 500, lambda n, seed: few[:n]))
    assert datasets.load("few").base.shape == (500, 4)
    with pytest.raises(InvalidArgument, match=r"up to 500 rows beside its queries; got 501"):
        datasets.load("few", 501)


def test_every_set_has_rows_for_its_full_run() -> None:
    assert datasets.default_rows("manifold-128") == 1_000_000
    assert datasets.default_rows("glove-50") == datasets.default_rows("glove-50-ip") == 399_000
    assert datasets.default_rows("tokens-576") == 48_152


def test_token_embeddings_are_scales_times_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-128, 128, size=(3, 2, 32), dtype=np.int8)
    scales = rng.uniform(0.01, 0.1, size=(3, 2)).astype(np.float16)
    blocks = b"".join(
        scales[i, j].tobytes() + codes[i, j].tobytes() for i in range(3) for j in range(2)
    )
    content = b"header.." + blocks + b"another tensor"
    (tmp_path / tokens.FILE).write_bytes(content)
    monkeypatch.setattr(tokens, "installed_at", lambda *_: tmp_path)
    monkeypatch.setattr(tokens, "FILE_SHA256", hashlib.sha256(content).hexdigest())
    for name, value in (("N_TOKENS", 3), ("DIM", 64), ("_OFFSET", 8)):
        monkeypatch.setattr(tokens, name, value)
    vectors = tokens.token_embeddings()
    assert vectors.dtype == np.float32
    expected = scales.astype(np.float32)[:, :, None] * codes
    np.testing.assert_array_equal(vectors, expected.reshape(3, 64))
    monkeypatch.setattr(tokens, "FILE_SHA256", "0" * 64)
    with pytest.raises(CorruptionError, match="expected sha256"):
        tokens.token_embeddings()
