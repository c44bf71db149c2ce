"""The stages of an ingest, as Ray Data runs them: read, embed, write.

What flows from stage to stage is one row for each batch of records, whose body is an Arrow table in
bytes: so batches stay as they were cut, whatever columns the files have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import ray.data

from paradox.cluster.arguments import with_texts
from paradox.cluster.collection import Collection
from paradox.cluster.columns import Recipe, Records, records_of
from paradox.cluster.ledger import Rows
from paradox.cluster.sources import Format, SourceFile, Table, read
from paradox.core.errors import PayloadError
from paradox.core.types import F32Matrix

_NONE = -1
ANY_DATASET = "the dataset"

Batches: TypeAlias = dict[str, Any]
"""Column to (n,) array, as Ray Data passes rows; here n is 1."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What all stages of one ingest know.

    Attributes:
        collection: where the records go.
        recipe: which columns become what.
        way: digest of the recipe and the encoder, for the ledger.
        batch_size: records a batch.
        concurrency: batches that each stage works on at once.
    """

    collection: Collection
    recipe: Recipe
    way: str
    batch_size: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one file that are read in one go.

    Attributes:
        file: the file.
        key: its key in the ledger.
        first_id: id of its row 0, or None where rows bring their own.
        rows: which rows.
    """

    file: SourceFile
    key: str
    first_id: int | None
    rows: Rows


def of_pieces(pieces: list[Piece], plan: Plan) -> ray.data.Dataset:
    """Return the batches of files, which are read when the dataset is executed."""
    items = [
        {
            "path": piece.file.path,
            "format": piece.file.format,
            "key": piece.key,
            "first_id": _NONE if piece.first_id is None else piece.first_id,
            "start": piece.rows[0],
            "stop": piece.rows[1],
        }
        for piece in pieces
    ]
    return ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        partial(_read, plan=plan),
        batch_size=1,
        compute=ray.data.TaskPoolStrategy(size=plan.concurrency),
        num_cpus=0.5,
    )


def of_dataset(source: ray.data.Dataset, plan: Plan) -> ray.data.Dataset:
    """Return the batches of any Ray dataset; with ids, where they do not bring their own."""
    return source.map_batches(
        partial(_wrap, plan=plan),
        batch_size=plan.batch_size,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=plan.concurrency),
        num_cpus=0.5,
    )


def written(batches: ray.data.Dataset, plan: Plan) -> ray.data.Dataset:
    """Return a dataset that embeds and writes the batches when it is executed.

    Its rows tell what was done, in columns `rows`, `inserted` and `replaced`.
    """
    if plan.recipe.vector is None:
        batches = batches.map_batches(
            _Embed,
            batch_size=1,
            fn_constructor_kwargs={"plan": plan},
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=plan.concurrency),
            num_cpus=0.5,
        )
    return batches.map_batches(
        partial(_write, plan=plan),
        batch_size=1,
        compute=ray.data.TaskPoolStrategy(size=plan.concurrency),
        num_cpus=0.25,
    )


def vectors_of(plan: Plan, tables: Iterable[tuple[str, int, Table]]) -> F32Matrix:
    """Return the vectors of some tables, each with its file and first row; texts are encoded."""
    found = [np.zeros((0, plan.recipe.dim), np.float32)]
    for file, row, table in tables:
        records = records_of(table, plan.recipe, file=file, first_row=row, with_payload=False)
        if records.vectors is None:
            found.append(plan.collection.encoder().encode(records.texts or []))
        else:
            found.append(records.vectors)
    return np.concatenate(found)


def _read(batches: Batches, plan: Plan) -> Iterator[Batches]:
    for piece in _rows(batches):
        file = SourceFile(piece["path"], cast(Format, piece["format"]))
        for row, table in read(
            file,
            rows=(piece["start"], piece["stop"]),
            columns=plan.recipe.wanted(),
            batch_size=plan.batch_size,
        ):
            yield _batch(table, file.path, piece["key"], piece["first_id"], row)


def _wrap(table: pa.Table, plan: Plan) -> Batches:
    first_id = _NONE
    if plan.recipe.id is None:  # here, so that Ray may run the stage that writes again
        name, n = plan.collection.name, table.num_rows
        first_id = plan.collection.supervisor.ask("assign_ids", name, n)
    return _batch(table, ANY_DATASET, "", first_id, 0)


class _Embed:
    """Encodes the texts of batches; one in each actor of a pool."""

    def __init__(self, plan: Plan) -> None:
        self._recipe = plan.recipe
        self._encoder = plan.collection.encoder()

    def __call__(self, batches: Batches) -> Batches:
        vectors = [
            self._encoder.encode(_records(batch, self._recipe).texts or []).tobytes()
            for batch in _rows(batches)
        ]
        return {**batches, "vectors": np.array(vectors, object)}


def _write(batches: Batches, plan: Plan) -> Batches:
    rows, inserted, replaced = np.array([_write_one(b, plan) for b in _rows(batches)]).T
    return {"rows": rows, "inserted": inserted, "replaced": replaced}


def _write_one(batch: dict[str, Any], plan: Plan) -> tuple[int, int, int]:
    records = _records(batch, plan.recipe)
    n, start = len(records.payloads), batch["first_row"]
    ids, vectors = records.ids, records.vectors
    payloads: Sequence[Mapping[str, Any]] = records.payloads
    if ids is None and batch["first_id"] != _NONE:
        ids = batch["first_id"] + start + np.arange(n, dtype=np.int64)
    if records.texts is not None:
        vectors = np.frombuffer(batch["vectors"], np.float32).reshape(n, plan.recipe.dim)
        payloads = with_texts(plan.collection.settings, payloads, records.texts)
    try:
        report = plan.collection.add(vectors, ids=ids, payload=payloads)
    except PayloadError as error:
        raise PayloadError(f"{batch['path']}, counting rows from {start}: {error}") from error
    if batch["key"]:
        plan.collection.supervisor.ask(
            "finish_rows", plan.collection.name, batch["key"], plan.way, [(start, start + n)]
        )
    return n, report.inserted, report.replaced


def _batch(table: Table, path: str, key: str, first_id: int, first_row: int) -> Batches:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    row = {
        "path": path,
        "key": key,
        "first_id": first_id,
        "first_row": first_row,
        "body": sink.getvalue().to_pybytes(),
    }
    return {column: np.array([value], object) for column, value in row.items()}


def _records(batch: dict[str, Any], recipe: Recipe) -> Records:
    table = pa.ipc.open_stream(batch["body"]).read_all()
    return records_of(table, recipe, file=batch["path"], first_row=batch["first_row"])


def _rows(batches: Batches) -> Iterator[dict[str, Any]]:
    columns = (np.asarray(column).tolist() for column in batches.values())
    for values in zip(*columns, strict=True):
        yield dict(zip(batches, values, strict=True))
