"""One list of real, distinct short texts, mixed from every source this machine has.

It is put together once and kept, because the packages installed here change and vectors made of
the texts would have to be made again.

    python -m examples.data.texts
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from examples.data import debian, docstrings
from paradox.core import config

MAX_CHARACTERS = 300
"""About 64 tokens: the encoders take more, and cost in proportion."""
MIN_CHARACTERS = 12
SEED = 0

SOURCES: dict[str, Callable[[], list[str]]] = {
    "wordnet": debian.wordnet,
    "foldoc": debian.foldoc,
    "packages": debian.packages,
    "docstrings": lambda: [str(text) for text in docstrings.read()["text"].to_pylist()],
}
MORE: dict[str, Callable[[], list[str]]] = {"gcide": debian.gcide}


def real_texts(*, more: bool = False) -> list[str]:
    """Return the texts, in an order drawn once with `SEED`; the first n are a fair sample.

    Args:
        more: those of `MORE` as well, in an order of their own: some 375,000, not 259,000.

    Raises:
        SourceError: a source is not to be had on this machine.
    """
    return [str(text) for text in _table(more)["text"].to_pylist()]


def _table(more: bool) -> pa.Table:
    """Return texts and their sources, gathered the first time."""
    path = config.cache() / "texts" / ("more.parquet" if more else "real.parquet")
    if not path.exists():
        table = _gather(MORE, _table(False)) if more else _gather(SOURCES)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        pq.write_table(table, scratch, compression="zstd")
        scratch.replace(path)
    return pq.read_table(path)


def digest(texts: Sequence[str]) -> str:
    """Return a hash of the texts and their order, 32 hexadecimal digits."""
    hasher = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode()
        hasher.update(len(encoded).to_bytes(8, "little"))
        hasher.update(encoded)
    return hasher.hexdigest()


def _gather(
    sources: Mapping[str, Callable[[], list[str]]], known: pa.Table | None = None
) -> pa.Table:
    source_of: dict[str, str] = {}
    if known is not None:
        pairs = zip(known["text"].to_pylist(), known["source"].to_pylist(), strict=True)
        source_of.update(pairs)
    for source, read in sources.items():
        for text in read():
            text = text[:MAX_CHARACTERS].strip()
            if len(text) >= MIN_CHARACTERS:
                source_of.setdefault(text, source)
    texts = list(source_of)
    random.Random(SEED).shuffle(texts)
    return pa.table({"text": texts, "source": [source_of[text] for text in texts]})


def main() -> None:
    """Gather the texts and say how many each source gave."""
    table = _table(more=True)
    counts = table["source"].value_counts().to_pylist()
    each = ", ".join(f"{row['counts']:,} {row['values']}" for row in counts)
    Console().print(f"{len(table):,} texts ({each}) in {config.cache() / 'texts'}")


if __name__ == "__main__":
    main()
