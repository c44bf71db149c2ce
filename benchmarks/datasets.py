"""Named sets of vectors with queries that are not in the base.

| name                | what                                                   | dim | metric |
| ------------------- | ------------------------------------------------------ | --- | ------ |
| `text-minilm-384`   | real short texts (`examples.data.texts`), MiniLM-L6-v2 | 384 | cosine |
| `text-use-512`      | these and a dictionary's, Universal Sentence Encoder   | 512 | cosine |
| `tokens-576`        | token embeddings of SmolLM2-135M                       | 576 | cosine |
| `glove-50`          | GloVe 6B word vectors                                  | 50  | cosine |
| `glove-50-ip`       | the same, most of them with norms of 3 to 7            | 50  | ip     |
| `manifold-128`      | synthetic: 1,000 Gaussians through a random network    | 128 | l2     |
| `manifold-hard-128` | the same with more latent dimensions                   | 128 | l2     |

    python -m benchmarks.datasets text-minilm-384 --n 200000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.peers.contestant import directions
from benchmarks.report import progress
from benchmarks.truth import Truth
from examples.data.embed import embedded
from examples.data.glove import N_WORDS, glove
from examples.data.texts import real_texts
from examples.data.tokens import N_TOKENS, token_embeddings
from paradox.adapt import encoders
from paradox.core import config
from paradox.core.errors import InvalidArgument
from paradox.core.metric import Metric
from paradox.core.types import F32Matrix

N_QUERIES = 1_000
N_TEXTS, N_MORE_TEXTS = 200_000, 300_000
LATENT_DIM, HARD_LATENT_DIM = 16, 48
N_CLUSTERS = 1_000
NOISE = 0.02
HARDNESS_K = 100
"""Nearest vectors that the intrinsic dimension is estimated from."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A base and its queries.

    Attributes:
        name: as in the table above.
        metric: the metric such vectors are searched with.
        base: (n, dim) float32, mapped where it comes from a file.
        queries: (1000, dim) float32, drawn as the base was and not in it.
    """

    name: str
    metric: Metric
    base: F32Matrix
    queries: F32Matrix

    @property
    def label(self) -> str:
        """Name, rows and dimension, for a report's case."""
        return f"{self.name} {len(self.base):,} × {self.base.shape[1]}"


def names() -> tuple[str, ...]:
    """Return the names of all sets."""
    return tuple(_SETS)


def default_rows(name: str) -> int:
    """Return how many rows the base of a set has in full runs."""
    return _SETS[name][1]


def load(name: str, n: int | None = None, *, seed: int = 0) -> Dataset:
    """Return a set, making and caching it the first time: texts take up to an hour on a core.

    Args:
        name: one of `names()`.
        n: rows of the base; None takes `default_rows`.
        seed: of the synthetic sets.

    Raises:
        InvalidArgument: no such set, or it has fewer rows.
        CallerError: a package or source that it needs is missing.
    """
    if name not in _SETS:
        raise InvalidArgument(f"data: expected one of {', '.join(_SETS)}; got {name!r}")
    metric, default, read = _SETS[name]
    n = default if n is None else n
    rows = read(n + N_QUERIES, seed)
    if len(rows) < n + N_QUERIES:
        most = len(rows) - N_QUERIES
        raise InvalidArgument(f"n: {name} has up to {most:,} rows beside its queries; got {n:,}")
    return Dataset(name, metric, rows[:n], np.array(rows[-N_QUERIES:]))


def in_memory(dataset: Dataset) -> Dataset:
    """Return the set in memory that is not mapped, its vectors of length 1 under cosine."""
    if dataset.metric == "cosine":
        base, queries = directions(dataset.base), directions(dataset.queries)
        return replace(dataset, base=base, queries=queries)
    return replace(dataset, base=np.array(dataset.base))


def intrinsic_dimension(truth: Truth) -> float | None:
    """Return the mean local intrinsic dimension at the queries: how hard the set is.

    None under ip, where there is no distance to estimate it from.

    The maximum-likelihood estimate from the `HARDNESS_K` nearest distances (Amsaleg et al., KDD
    2015), under the Euclidean distance; of the vectors' directions where the metric is cosine.

    Args:
        truth: of so many neighbours or more.
    """
    if truth.metric == "ip":
        return None
    # A distance under cosine is half the square of that of the directions, which cancels out.
    nearest = np.sqrt(np.maximum(truth.first(HARDNESS_K).nearest, 0))
    nearest = nearest[nearest[:, 0] > 1e-6]  # an exact duplicate says nothing about dimension
    return float(np.mean(-1 / np.mean(np.log(nearest[:, :-1] / nearest[:, -1:]), axis=1)))


def manifold(n: int, dim: int, *, seed: int, latent_dim: int = LATENT_DIM) -> F32Matrix:
    """Return n points of a curved surface of `latent_dim` dimensions in `dim` dimensions.

    Gaussian clusters in the latent space go through a random network (latent → 64 → 128 → dim,
    tanh) and get noise of 2 % of the spread.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(N_CLUSTERS, latent_dim))
    layers = [
        rng.normal(size=(a, b)) / np.sqrt(a) for a, b in ((latent_dim, 64), (64, 128), (128, dim))
    ]
    points = np.empty((n, dim), np.float32)
    for start in range(0, n, 100_000):
        m = min(100_000, n - start)
        x = centres[rng.integers(N_CLUSTERS, size=m)] + rng.normal(size=(m, latent_dim))
        for layer in layers:
            x = np.tanh(x @ layer)
        points[start : start + m] = x + NOISE * x.std() * rng.normal(size=x.shape)
    return points


def _text(encoder: str, n_texts: int) -> Callable[[int, int], F32Matrix]:
    def read(n: int, seed: int) -> F32Matrix:
        # One cached set serves every n up to its size, so a smaller one costs nothing more.
        texts = real_texts(more=n_texts > N_TEXTS)[: n_texts + N_QUERIES]
        loaded = encoders.load(encoder, threads=1)
        return embedded(texts, loaded)

    return read


def _manifold(name: str, latent_dim: int) -> Callable[[int, int], F32Matrix]:
    def read(n: int, seed: int) -> F32Matrix:
        path: Path = config.cache() / "benchmarks" / f"{name}-{n}-{seed}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(".part.npy")
            np.save(scratch, manifold(n, 128, seed=seed, latent_dim=latent_dim))
            scratch.replace(path)
        points: F32Matrix = np.load(path, mmap_mode="r")
        return points

    return read


def _shuffled(read: Callable[[], F32Matrix]) -> Callable[[int, int], F32Matrix]:
    """Return a reader of a set that comes in an order: of frequency, of numbers."""

    def read_some(n: int, seed: int) -> F32Matrix:
        vectors = read()
        order: npt.NDArray[np.int64] = np.random.default_rng(seed).permutation(len(vectors))
        return np.ascontiguousarray(vectors[order[:n]])

    return read_some


_SETS: dict[str, tuple[Metric, int, Callable[[int, int], F32Matrix]]] = {
    "text-minilm-384": ("cosine", N_TEXTS, _text("minilm-l6-v2", N_TEXTS)),
    "text-use-512": ("cosine", N_MORE_TEXTS, _text("use-multilingual-v3", N_MORE_TEXTS)),
    "tokens-576": ("cosine", N_TOKENS - N_QUERIES, _shuffled(token_embeddings)),
    "glove-50": ("cosine", N_WORDS - N_QUERIES, _shuffled(glove)),
    "glove-50-ip": ("ip", N_WORDS - N_QUERIES, _shuffled(glove)),
    "manifold-128": ("l2", 1_000_000, _manifold("manifold-128", LATENT_DIM)),
    "manifold-hard-128": ("l2", N_TEXTS, _manifold("manifold-hard-128", HARD_LATENT_DIM)),
}


def main() -> None:
    """Make a set and say how hard it is."""
    parser = argparse.ArgumentParser(description="make and describe a set of vectors")
    parser.add_argument("name", choices=names())
    parser.add_argument("--n", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dataset = load(given.name, given.n, seed=given.seed)
    progress(f"{dataset.label}, {dataset.metric}")
    truth = Truth.of(dataset.queries, dataset.base, HARDNESS_K, dataset.metric)
    dimension = intrinsic_dimension(truth)
    if dimension is not None:
        print(f"local intrinsic dimension {dimension:.1f}")


if __name__ == "__main__":
    main()
