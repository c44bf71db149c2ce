from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from examples.data import embed, texts
from paradox.core.errors import SourceError
from paradox.core.types import F32Matrix

TEXTS = [f"{'x' * (n % 7)} {n}" for n in range(50)]


class Counting:
    """An encoder of two dimensions that counts its texts, and stops after some."""

    name, dim, id = "counting", 2, "counting:1"

    def __init__(self, stop_after: int = 10**9) -> None:
        self.seen: list[str] = []
        self._stop_after = stop_after

    def encode(self, texts: Sequence[str]) -> F32Matrix:
        if len(self.seen) + len(texts) > self._stop_after:
            raise KeyboardInterrupt
        self.seen += texts
        return np.array([[len(text), int(text.split()[-1])] for text in texts], np.float32)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARADOX_CACHE", str(tmp_path))
    monkeypatch.setattr(embed, "CHUNK", 8)


def test_vectors_come_in_the_order_of_the_texts() -> None:
    vectors = embed.embedded(TEXTS, Counting())
    assert vectors[:, 0].tolist() == [len(text) for text in TEXTS]
    assert vectors[:, 1].tolist() == list(range(50))


def test_what_is_cached_is_not_embedded_again() -> None:
    embed.embedded(TEXTS, Counting())
    again = Counting()
    embed.embedded(TEXTS, again)
    assert again.seen == []


def test_a_stopped_run_goes_on_where_it_was() -> None:
    with pytest.raises(KeyboardInterrupt):
        embed.embedded(TEXTS, Counting(stop_after=30))
    rest = Counting()
    vectors = embed.embedded(TEXTS, rest)
    assert len(rest.seen) == 50 - 24
    assert vectors[:, 1].tolist() == list(range(50))


def test_other_texts_and_other_encoders_are_kept_apart() -> None:
    embed.embedded(TEXTS, Counting())
    other_encoder, other_texts = Counting(), Counting()
    other_encoder.id = "counting:2"
    embed.embedded(TEXTS, other_encoder)
    embed.embedded(TEXTS[::-1], other_texts)
    assert len(other_encoder.seen) == len(other_texts.seen) == 50


def test_a_cache_of_another_shape_is_refused(tmp_path: Path) -> None:
    embed.embedded(TEXTS, Counting())
    [path] = tmp_path.rglob("vectors.npy")
    np.save(path, np.zeros((3, 2), np.float32))
    with pytest.raises(SourceError, match=r"expected shape \(50, 2\); got \(3, 2\)"):
        embed.embedded(TEXTS, Counting())


def test_the_manifest_says_what_the_vectors_are(tmp_path: Path) -> None:
    embed.embedded(TEXTS, Counting())
    [path] = tmp_path.rglob("manifest.json")
    assert json.loads(path.read_text()) == {
        "encoder": "counting:1",
        "dim": 2,
        "n": 50,
        "texts": texts.digest(TEXTS),
    }
    assert not list(tmp_path.rglob("progress.json"))


def test_the_digest_sees_where_a_text_ends() -> None:
    assert texts.digest(["ab", "c"]) != texts.digest(["a", "bc"])
    assert texts.digest(["a", "b"]) != texts.digest(["b", "a"])
