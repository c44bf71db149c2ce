"""What the partitioner of a collection is trained on: vectors from all over the source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
import ray.data
from ray.exceptions import RayError

from paradox.cluster.actors import call
from paradox.cluster.columns import records_of
from paradox.cluster.failures import translated
from paradox.cluster.pipeline import ANY_DATASET, Piece, Plan
from paradox.cluster.placement import TRAINING_ROWS_A_SHARD
from paradox.cluster.sources import Table, read
from paradox.core.types import F32Matrix
from paradox.routing import sample_size

_SAMPLE_PIECES = 16
_TEXTS_A_SHARD = 512  # a sample of texts costs a millisecond each
_RUNS_A_PIECE = 64  # neighbouring rows are alike: one package's texts, one day's records
_DRAWN, _VALUE = "drawn", "value"


def train(plan: Plan, sample: Callable[[int], F32Matrix]) -> None:
    """Train the collection's partitioner on some of the records to come, if it has not been.

    Args:
        plan: of the ingest.
        sample: returns the vectors of so many rows, or of all where there are fewer.
    """
    n_shards = plan.collection.settings.shards
    if not plan.collection.trained:
        n_rows = sample_size(n_shards, plan.recipe.dim)
        if plan.recipe.vector is None:
            n_rows = min(n_rows, _TEXTS_A_SHARD * n_shards)
        vectors = sample(n_rows)
        if len(vectors) >= TRAINING_ROWS_A_SHARD * n_shards:
            plan.collection.train(vectors)


def sample_of_pieces(plan: Plan, work: list[Piece], n_rows: int) -> F32Matrix:
    """Return the vectors of rows from all over the source; at most `n_rows`, roughly."""
    picked = work[:: -(-len(work) // _SAMPLE_PIECES)]
    of_a_piece = -(-n_rows // len(picked))
    sample: F32Matrix = call(
        _of_pieces.options(num_cpus=0.5).remote(plan, picked, of_a_piece), "a task of the ingest"
    )
    return sample


def sample_of_dataset(plan: Plan, source: ray.data.Dataset, n_rows: int) -> F32Matrix:
    """Return the vectors of `n_rows` rows drawn at random from all of a dataset.

    Every row draws a number, and those of the lowest numbers are taken: so each block sends no more
    than `n_rows`, and no more than twice as many are held here at once. The dataset is executed for
    it, in full.
    """
    drawn = source.map_batches(
        partial(_draw, plan=plan, n_rows=n_rows),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=plan.concurrency),
        num_cpus=0.5,
    )
    kept: list[Table] = []
    try:
        for table in drawn.iter_batches(batch_size=None, batch_format="pyarrow"):
            kept.append(table)
            if sum(table.num_rows for table in kept) > 2 * n_rows:
                kept = _lowest(kept, n_rows)
    except RayError as error:
        raise translated(error, "a task of the ingest") from None
    column = "text" if plan.recipe.vector is None else "vector"
    only_value: dict[str, Any] = {"id": None, "payload": (), column: _VALUE}
    of_values = replace(plan, recipe=replace(plan.recipe, **only_value))
    return _vectors_of(of_values, ((ANY_DATASET, 0, table) for table in _lowest(kept, n_rows)))


def _draw(table: pa.Table, plan: Plan, n_rows: int) -> pa.Table:
    """Return at most `n_rows` values of a block, those of the lowest numbers, and the numbers."""
    recipe = plan.recipe
    records_of(table.slice(0, 0), recipe, file=ANY_DATASET, first_row=0)  # has it the columns?
    numbers = np.random.default_rng().random(table.num_rows)
    rows = np.argsort(numbers)[:n_rows]
    values = table.column(recipe.vector or str(recipe.text)).take(pa.array(rows))
    return pa.table({_VALUE: values, _DRAWN: numbers[rows]})


def _lowest(tables: list[Table], n_rows: int) -> list[Table]:
    """Return the rows of the `n_rows` lowest numbers, of what `_draw` returned."""
    numbers = np.concatenate([[], *(table[_DRAWN].to_numpy() for table in tables)])
    if len(numbers) <= n_rows:
        return tables
    highest = np.partition(numbers, n_rows - 1)[n_rows - 1]
    lowest = [table.filter(pc.less_equal(table[_DRAWN], highest)) for table in tables]
    return [table for table in lowest if table.num_rows]


@ray.remote
def _of_pieces(plan: Plan, pieces: list[Piece], of_a_piece: int) -> F32Matrix:
    tables = []
    for piece in pieces:
        start, stop = piece.rows
        columns, batch_size = plan.recipe.wanted(), stop - start
        for row, table in read(piece.file, rows=piece.rows, columns=columns, batch_size=batch_size):
            n = table.num_rows
            wanted = -(-of_a_piece * n // batch_size)
            n_runs = min(_RUNS_A_PIECE, wanted, n)
            for at in (run * n // n_runs for run in range(n_runs)):
                tables.append((piece.file.path, row + at, table.slice(at, -(-wanted // n_runs))))
    return _vectors_of(plan, tables)


def _vectors_of(plan: Plan, tables: Iterable[tuple[str, int, Table]]) -> F32Matrix:
    """Return the vectors of some tables, each with its file and first row; texts are encoded."""
    vectors = [np.zeros((0, plan.recipe.dim), np.float32)]
    texts: list[str] = []
    for file, row, table in tables:
        records = records_of(table, plan.recipe, file=file, first_row=row, with_payload=False)
        if records.vectors is not None:
            vectors.append(records.vectors)
        texts += records.texts or []
    if texts:  # all at once: an encoder passes texts of one length through together
        vectors.append(plan.collection.encoder().encode(texts))
    return np.concatenate(vectors)
