"""One list of real, distinct short texts, mixed from every source this machine has.

It is put together once and kept, because the packages installed here change and vectors made of
the texts would have to be made again.

    python -m examples.data.texts
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

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


def real_texts() -> list[str]:
    """Return the texts, in an order drawn once with `SEED`; the first n are a fair sample.

    Raises:
        SourceError: a source is not to be had on this machine.
    """
    path = config.cache() / "texts" / "real.parquet"
    if not path.exists():
        table = _gather()
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        pq.write_table(table, scratch, compression="zstd")
        scratch.replace(path)
    return [str(text) for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]


def digest(texts: Sequence[str]) -> str:
    """Return a hash of the texts and their order, 32 hexadecimal digits."""
    hasher = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode()
        hasher.update(len(encoded).to_bytes(8, "little"))
        hasher.update(encoded)
    return hasher.hexdigest()


def _gather() -> pa.Table:
    source_of: dict[str, str] = {}
    for source, read in SOURCES.items():
        for text in read():
            text = text[:MAX_CHARACTERS].strip()
            if len(text) >= MIN_CHARACTERS:
                source_of.setdefault(text, source)
    texts = list(source_of)
    random.Random(SEED).shuffle(texts)
    return pa.table({"text": texts, "source": [source_of[text] for text in texts]})


def main() -> None:
    """Gather the texts and say how many each source gave."""
    n = len(real_texts())
    path: Path = config.cache() / "texts" / "real.parquet"
    counts = pq.read_table(path, columns=["source"])["source"].value_counts().to_pylist()
    each = ", ".join(f"{row['counts']:,} {row['values']}" for row in counts)
    Console().print(f"{n:,} texts ({each}) in {path}")


if __name__ == "__main__":
    main()
