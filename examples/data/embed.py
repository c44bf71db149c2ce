"""Vectors of texts, made once per encoder and kept; a run that is stopped goes on where it was.

    python -m examples.data.embed minilm-l6-v2 --n 201000 --threads 1

`<cache>/embeddings/<encoder id>/<hash of the texts>/` holds `vectors.npy` and, once complete,
`manifest.json`; while it is being made, `progress.json` counts the vectors that are on disk.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from examples.data.texts import digest, real_texts
from paradox.adapt import encoders
from paradox.adapt.encoders import Encoder
from paradox.core import config
from paradox.core.errors import SourceError
from paradox.core.types import F32Matrix

CHUNK = 4_096
"""Texts between two checkpoints: under a minute of work for every encoder."""


def embedded(texts: Sequence[str], encoder: Encoder) -> F32Matrix:
    """Return the texts' vectors, from the cache as far as it has them.

    Args:
        texts: at least one.
        encoder: what embeds them; its id and the texts' hash are the key.

    Returns:
        (len(texts), dim) float32, mapped read-only from the cache's file.
    """
    texts_hash = digest(texts)
    folder = config.cache() / "embeddings" / encoder.id.replace(":", "-") / texts_hash
    vectors_path, manifest_path = folder / "vectors.npy", folder / "manifest.json"
    if not manifest_path.exists():
        _embed(texts, encoder, folder)
        manifest = {"encoder": encoder.id, "dim": encoder.dim, "n": len(texts), "texts": texts_hash}
        _write_json(manifest_path, manifest)
        (folder / "progress.json").unlink(missing_ok=True)
    vectors: F32Matrix = np.load(vectors_path, mmap_mode="r")
    if vectors.shape != (len(texts), encoder.dim):
        raise SourceError(
            f"{vectors_path}: expected shape {(len(texts), encoder.dim)}; got {vectors.shape}; "
            "delete the folder to make it again"
        )
    return vectors


def _embed(texts: Sequence[str], encoder: Encoder, folder: Path) -> None:
    """Fill `vectors.npy`, shortest texts first so that a batch has texts of one length."""
    folder.mkdir(parents=True, exist_ok=True)
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    vectors, done = _open_partial(folder, (len(texts), encoder.dim))
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*(TextColumn(c) if isinstance(c, str) else c for c in columns)) as progress:
        task = progress.add_task(f"embedding, {encoder.name}", total=len(texts), completed=done)
        for start in range(done, len(texts), CHUNK):
            rows = order[start : start + CHUNK]
            vectors[rows] = encoder.encode([texts[row] for row in rows])
            vectors.flush()
            _write_json(folder / "progress.json", {"done": start + len(rows)})
            progress.update(task, completed=start + len(rows))


def _open_partial(folder: Path, shape: tuple[int, int]) -> tuple[np.memmap[Any, Any], int]:
    """Return the file to fill and how many vectors it already has."""
    path, progress = folder / "vectors.npy", folder / "progress.json"
    if path.exists() and progress.exists():
        vectors = np.lib.format.open_memmap(path, mode="r+")
        if vectors.shape == shape:
            return vectors, int(json.loads(progress.read_text())["done"])
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    return vectors, 0


def _write_json(path: Path, content: dict[str, Any]) -> None:
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(content, indent=1) + "\n")
    scratch.replace(path)


def main() -> None:
    """Embed this machine's real texts."""
    parser = argparse.ArgumentParser(description="embed this machine's real texts, resumably")
    parser.add_argument("encoder", choices=encoders.names())
    parser.add_argument("--n", type=int, default=201_000, help="how many texts (201000)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    texts = real_texts()[: arguments.n]
    vectors = embedded(texts, encoders.load(arguments.encoder, threads=arguments.threads))
    print(f"{vectors.shape[0]:,} × {vectors.shape[1]} in {vectors.filename}")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
