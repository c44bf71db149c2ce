"""What a caller gives to a collection: checked, and its texts made vectors, before all else."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from paradox.adapt import encoders
from paradox.adapt.encoders import Encoder
from paradox.cluster.settings import CollectionSettings
from paradox.core.errors import InvalidArgument
from paradox.core.types import F32Matrix
from paradox.core.vectors import (
    as_matrix,
    check_aim,
    check_directions,
    check_k,
    check_not_blank,
)
from paradox.index.options import check_effort
from paradox.routing import SearchRequest

LONGEST_TIMEOUT_S = 24 * 3600.0
"""Ray takes neither infinity nor 1e300."""

TEXT_COLUMN = "text"


class Arguments:
    """The arguments of one collection's calls, and the encoder that makes its texts vectors.

    Safe from many threads.

    Args:
        settings: of the collection.
    """

    def __init__(self, settings: CollectionSettings) -> None:
        self._settings = settings
        self._encoder: Encoder | None = None
        self._lock = Lock()

    def encoder(self) -> Encoder:
        """Return the encoder of the collection's texts, loaded when first asked for.

        Raises:
            InvalidArgument: the collection has none, or this machine's makes other vectors.
        """
        settings = self._settings
        with self._lock:
            if self._encoder is None:
                if settings.encoder is None:
                    raise InvalidArgument(
                        f"collection {settings.name!r} has no encoder: expected vectors; got texts"
                    )
                loaded = encoders.load(settings.encoder)
                if loaded.id != settings.encoder_id:
                    raise InvalidArgument(
                        f"encoder: expected {settings.encoder_id!r}, which made the vectors "
                        f"of {settings.name!r}; the one installed here is {loaded.id!r}"
                    )
                self._encoder = loaded
            return self._encoder

    def matrix(self, vectors: Any, texts: Any, where: str) -> F32Matrix:
        """Return vectors, or those of texts, as (n, dim) float32.

        Args:
            vectors: as `add` and `query` take them, or None.
            texts: one text or several, or None.
            where: what they are, for messages.

        Raises:
            InvalidArgument: neither or both were given, or not as described; a text is blank.
        """
        if (vectors is None) == (texts is None):
            got = "neither" if vectors is None else "both"
            raise InvalidArgument(f"{where}: expected vectors or texts; got {got}")
        if texts is not None:
            encoder = self.encoder()
            texts = as_texts(texts)
            check_not_blank(texts)
            vectors = encoder.encode(texts)
        matrix = as_matrix(vectors, self._settings.dim, where=where)
        if self._settings.metric == "cosine":
            check_directions(matrix, where=where)
        return matrix

    def request(
        self, queries: F32Matrix, k: Any, *, recall: Any, filter: Any, effort: Any = None
    ) -> SearchRequest:
        """Return a search of these queries.

        Raises:
            InvalidArgument: `k`, `recall`, `effort` or `filter` is not as `query` describes it.
        """
        if filter is not None and not isinstance(filter, str):
            raise InvalidArgument(f"filter: expected an SQL expression; got {filter!r:.80}")
        return SearchRequest(
            queries=queries,
            k=check_k(k),
            recall=check_aim(recall, effort),
            effort=None if effort is None else check_effort(effort),
            filter=filter,
        )


def as_texts(texts: str | Iterable[str]) -> list[str]:
    """Return one text, or several, as a list.

    Raises:
        InvalidArgument: it is neither.
    """
    if not isinstance(texts, Iterable):
        raise InvalidArgument(f"texts: expected one or several; got {texts!r:.80}")
    return [texts] if isinstance(texts, str) else list(texts)


def with_texts(
    settings: CollectionSettings, rows: Sequence[Mapping[str, Any]], texts: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Return payloads with their texts in the column `text`, if they may have and lack it."""
    if not settings.schema_takes(TEXT_COLUMN):
        return list(rows)
    return [{TEXT_COLUMN: text, **row} for text, row in zip(texts, rows, strict=True)]


def absolute(uri: str) -> str:
    """Return a path as an absolute one, and any other URI as it is."""
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def check_timeout(timeout_s: Any) -> float:
    """Return a timeout that Ray takes.

    Raises:
        InvalidArgument: it is no positive number.
    """
    if not isinstance(timeout_s, numbers.Real) or not float(timeout_s) > 0:
        raise InvalidArgument(f"timeout_s: expected a positive number; got {timeout_s!r}")
    return min(float(timeout_s), LONGEST_TIMEOUT_S)
