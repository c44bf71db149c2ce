"""The stages of an ingest, as Ray Data runs them: read, embed, write.

What flows from stage to stage is one row for each batch of records, whose body is an Arrow table in
bytes: so batches stay as they were cut, whatever columns the files have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
from paradox.core.types import I64Vector

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
        repeated: of them, those whose id comes again later in the source, ascending; left out.
    """

    file: SourceFile
    key: str
    first_id: int | None
    rows: Rows
    repeated: I64Vector = field(default_factory=lambda: np.zeros(0, np.int64), compare=False)

    @property
    def n_rows(self) -> int:
        """How many rows it is."""
        return self.rows[1] - self.rows[0]


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
            "repeated": piece.repeated.tobytes(),
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

    Its rows tell what was done, in columns `rows`, `inserted` and `replaced`, and in `ids` the
    bytes of the ids that a dataset brought.
    """
    if plan.recipe.vector is None:
        batches = batches.map_batches(
            partial(_embed, plan=plan),
            batch_size=1,
            compute=ray.data.TaskPoolStrategy(size=plan.concurrency),
            num_cpus=0.5,
        )
    return batches.map_batches(
        partial(_write, plan=plan),
        batch_size=1,
        compute=ray.data.TaskPoolStrategy(size=plan.concurrency),
        num_cpus=0.25,
    )


def _read(batches: Batches, plan: Plan) -> Iterator[Batches]:
    for piece in _rows(batches):
        file = SourceFile(piece["path"], cast(Format, piece["format"]))
        for row, table in read(
            file,
            rows=(piece["start"], piece["stop"]),
            columns=plan.recipe.wanted(),
            batch_size=plan.batch_size,
        ):
            kept = _without(table, row, np.frombuffer(piece["repeated"], np.int64))
            yield _batch(
                kept, _Origin(file.path, piece["key"], piece["first_id"], row, table.num_rows)
            )


def _without(table: Table, first: int, repeated: I64Vector) -> Table:
    """Return a table, whose first row has this number, without rows that come again."""
    rows = repeated[(repeated >= first) & (repeated < first + table.num_rows)]
    kept = np.ones(table.num_rows, np.bool_)
    kept[rows - first] = False
    return table.filter(pa.array(kept)) if len(rows) else table


def _wrap(table: pa.Table, plan: Plan) -> Batches:
    first_id = _NONE
    if plan.recipe.id is None:  # here, so that Ray may run the stage that writes again
        name, n = plan.collection.name, table.num_rows
        first_id = plan.collection.supervisor.ask("assign_ids", name, n)
    return _batch(table, _Origin(ANY_DATASET, "", first_id, 0, table.num_rows))


def _embed(batches: Batches, plan: Plan) -> Batches:
    encoder = plan.collection.encoder()  # loaded once in each process: see `Collection.__reduce__`
    vectors = [
        encoder.encode(_records(batch, plan.recipe).texts or []).tobytes()
        for batch in _rows(batches)
    ]
    return {**batches, "vectors": np.array(vectors, object)}


def _write(batches: Batches, plan: Plan) -> Batches:
    (batch,) = _rows(batches)
    records = _records(batch, plan.recipe)
    done = {column: np.array([n]) for column, n in _write_one(batch, records, plan).items()}
    ids = None if batch["key"] else records.ids
    return {**done, "ids": np.array([b"" if ids is None else ids.tobytes()], object)}


def _write_one(batch: dict[str, Any], records: Records, plan: Plan) -> dict[str, int]:
    n, start = len(records.payloads), batch["first_row"]
    ids, vectors = records.ids, records.vectors
    payloads: Sequence[Mapping[str, Any]] = records.payloads
    if ids is None and batch["first_id"] != _NONE:
        ids = batch["first_id"] + start + np.arange(n, dtype=np.int64)
    if records.texts is not None:
        vectors = np.frombuffer(batch["vectors"], np.float32).reshape(n, plan.recipe.dim)
        payloads = with_texts(plan.collection.settings, payloads, records.texts)
    inserted = replaced = 0
    if n:  # else all of its ids come again later
        try:
            report = plan.collection.add(vectors, ids=ids, payload=payloads)
        except PayloadError as error:
            raise PayloadError(f"{batch['path']}, counting rows from {start}: {error}") from error
        inserted, replaced = report.inserted, report.replaced
    n_rows = batch["n_rows"]
    if batch["key"]:
        plan.collection.supervisor.ask(
            "finish_rows", plan.collection.name, batch["key"], plan.way, [(start, start + n_rows)]
        )
    return {"rows": n_rows, "inserted": inserted, "replaced": replaced}


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a batch comes from.

    Attributes:
        path: file, for messages.
        key: its key in the ledger, "" for a dataset.
        first_id: id of row 0, or `_NONE`.
        first_row: number of the first row.
        n_rows: rows there, those that are left out too.
    """

    path: str
    key: str
    first_id: int
    first_row: int
    n_rows: int


def _batch(table: Table, origin: _Origin) -> Batches:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    row = {**asdict(origin), "body": sink.getvalue().to_pybytes()}
    return {column: np.array([value], object) for column, value in row.items()}


def _records(batch: dict[str, Any], recipe: Recipe) -> Records:
    table = pa.ipc.open_stream(batch["body"]).read_all()
    return records_of(table, recipe, file=batch["path"], first_row=batch["first_row"])


def _rows(batches: Batches) -> Iterator[dict[str, Any]]:
    columns = (np.asarray(column).tolist() for column in batches.values())
    for values in zip(*columns, strict=True):
        yield dict(zip(batches, values, strict=True))
