"""Files and Ray datasets into a collection: streamed, embedded on the way, and resumable.

Every file is read and checked in full before a row of it is written. Then its rows go through the
stages of `pipeline.py`, with a bounded number in flight. Each row has its id before it is written,
and the collection's ledger keeps which rows are in: a run that was killed anywhere is completed by
running it again, with nothing lost, nothing twice, and little embedded again.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import ray
import ray.data
from ray.exceptions import RayError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from paradox.cluster.actors import call, logical_cpus
from paradox.cluster.collection import Collection
from paradox.cluster.columns import Recipe
from paradox.cluster.failures import translated
from paradox.cluster.pipeline import (
    ANY_DATASET,
    Piece,
    Plan,
    of_dataset,
    of_pieces,
    vectors_of,
    written,
)
from paradox.cluster.placement import TRAINING_ROWS_A_SHARD
from paradox.cluster.sources import find_files, read
from paradox.cluster.survey import checked, work_left
from paradox.core.errors import InvalidArgument
from paradox.core.types import F32Matrix

BATCH_SIZE = 1_024
_SAMPLE_PIECES = 16
_SAMPLE_A_SHARD = 1_024
_TEXTS_A_SHARD = 512  # a sample of texts costs a millisecond each
_RUNS_A_PIECE = 64  # neighbouring rows are alike: one package's texts, one day's records


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ingest did.

    Attributes:
        files: files of the source, 0 for a dataset.
        rows: rows written.
        inserted: of them, records that were new.
        replaced: of them, records that replaced one of the same id.
        rows_before: rows left out because an earlier run had finished them.
        seconds: how long it took.
    """

    files: int
    rows: int
    inserted: int
    replaced: int
    rows_before: int
    seconds: float

    def __str__(self) -> str:
        before = f"; {self.rows_before:,} were in already" if self.rows_before else ""
        return (
            f"{self.rows:,} rows written in {self.seconds:.1f} s: {self.inserted:,} new, "
            f"{self.replaced:,} replaced{before}"
        )


def ingest(
    collection: Collection,
    source: str | Sequence[str] | ray.data.Dataset,
    *,
    id_column: str | None = None,
    vector_column: str | None = None,
    text_column: str | None = None,
    payload_columns: Sequence[str] | None = None,
    batch_size: int = BATCH_SIZE,
    concurrency: int | None = None,
    resume: bool = True,
    progress: bool = True,
) -> IngestReport:
    """Read records into a collection.

    Args:
        collection: where they go.
        source: paths or URIs of Parquet, CSV, JSON or Lance files, folders and globs of them; or
            any Ray dataset.
        id_column: integers; records of known ids are replaced. None gives every row of a file an
            id of its own, the same whenever the file is read again.
        vector_column: lists of numbers; `vector` if neither it nor `text_column` is given and the
            collection has no encoder.
        text_column: texts that the collection's encoder turns into vectors, `text` if not given;
            kept in the payload column `text`.
        payload_columns: columns to keep; None keeps all others.
        batch_size: records embedded and written at once.
        concurrency: batches that each stage works on at once; None takes the cluster's CPUs.
        resume: leave out rows that an earlier run has written from the same file in the same way.
        progress: show a progress bar.

    Raises:
        SourceError: a file cannot be read, or a row of it is no record; names file and row.
            Nothing of the source was written.
        PayloadError: a payload column is of another type than the collection's.
        InvalidArgument: a dataset without `id_column` cannot be resumed.
        RetryableError: a shard stayed away; running it again goes on from there.
    """
    started = time.monotonic()
    recipe = _recipe(collection, id_column, vector_column, text_column, payload_columns)
    is_dataset = isinstance(source, ray.data.Dataset)
    if is_dataset and id_column is None and resume:
        raise InvalidArgument(
            "ingest: expected id_column= for a dataset, so that running it again doubles nothing; "
            "or resume=False to have new ids assigned"
        )
    plan = Plan(
        collection=collection,
        recipe=recipe,
        way=recipe.way(collection.settings.encoder_id),
        batch_size=batch_size,
        concurrency=concurrency or logical_cpus(),
    )
    with _streaming():
        if isinstance(source, ray.data.Dataset):
            _train(plan, partial(_sample_of_dataset, plan, source))
            done = _executed(written(of_dataset(source, plan), plan), None, progress)
            return IngestReport(0, *done, 0, time.monotonic() - started)
        files = checked(find_files(source), plan, resume=resume)
        work = work_left(files, plan)
        n_rows = sum(piece.rows[1] - piece.rows[0] for piece in work)
        done = (0, 0, 0)
        if work:
            _train(plan, partial(_sample_of_pieces, plan, work))
            done = _executed(written(of_pieces(work, plan), plan), n_rows, progress)
    before = sum(each.known.n_rows for each in files) - n_rows
    return IngestReport(len(files), *done, before, time.monotonic() - started)


def _recipe(
    collection: Collection,
    id_column: str | None,
    vector_column: str | None,
    text_column: str | None,
    payload_columns: Sequence[str] | None,
) -> Recipe:
    settings = collection.settings
    if vector_column is None and text_column is None:
        vector_column, text_column = (
            ("vector", None) if settings.encoder is None else (None, "text")
        )
    if vector_column is None:
        collection.encoder()  # raises where there is none
    return Recipe(
        dim=settings.dim,
        cosine=settings.metric == "cosine",
        id=id_column,
        vector=vector_column,
        text=text_column,
        payload=None if payload_columns is None else tuple(payload_columns),
    )


def _train(plan: Plan, sample: Callable[[int], F32Matrix]) -> None:
    """Train the collection's partitioner on some of the records to come, if it has not been."""
    n_shards = plan.collection.settings.shards
    if not plan.collection.trained:
        of_a_shard = _SAMPLE_A_SHARD if plan.recipe.vector is not None else _TEXTS_A_SHARD
        vectors = sample(of_a_shard * n_shards)
        if len(vectors) >= TRAINING_ROWS_A_SHARD * n_shards:
            plan.collection.train(vectors)


def _sample_of_pieces(plan: Plan, work: list[Piece], n_rows: int) -> F32Matrix:
    """Return the vectors of rows from all over the source; at most `n_rows`, roughly."""
    picked = work[:: -(-len(work) // _SAMPLE_PIECES)]
    of_a_piece = -(-n_rows // len(picked))
    sample: F32Matrix = call(
        _sampled.options(num_cpus=0.5).remote(plan, picked, of_a_piece), "a task of the ingest"
    )
    return sample


@ray.remote
def _sampled(plan: Plan, pieces: list[Piece], of_a_piece: int) -> F32Matrix:
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
    return vectors_of(plan, tables)


def _sample_of_dataset(plan: Plan, source: ray.data.Dataset, n_rows: int) -> F32Matrix:
    tables = source.limit(n_rows).iter_batches(batch_size=n_rows, batch_format="pyarrow")
    return vectors_of(plan, [(ANY_DATASET, 0, table) for table in tables])


def _executed(done: ray.data.Dataset, n_rows: int | None, progress: bool) -> tuple[int, int, int]:
    """Run the pipeline; return how many rows were written, were new, and replaced one."""
    total = np.zeros(3, np.int64)
    with _bar(n_rows, progress) as advance:
        try:
            for batch in done.iter_batches(batch_size=None, batch_format="numpy"):
                figures = [int(batch[c].sum()) for c in ("rows", "inserted", "replaced")]
                advance(figures[0])
                total += figures
        except RayError as error:
            raise translated(error, "a stage of the ingest") from None
    rows, inserted, replaced = total.tolist()
    return rows, inserted, replaced


@contextmanager
def _streaming() -> Iterator[None]:
    """Have Ray Data pass each batch on as soon as it is done, raise our errors, and stay quiet."""
    context = ray.data.DataContext.get_current().copy()
    context.target_max_block_size = 1  # a block for each batch
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with ray.data.DataContext.current(context), warnings.catch_warnings():
            # what has fewer batches than a stage could work on at once
            warnings.filterwarnings("ignore", "The maximum number of concurrent tasks")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _bar(n_rows: int | None, show: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar, if wanted; yield what advances it by so many rows."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(
        TextColumn("{task.description}"),
        *columns,
        console=Console(stderr=True),
        disable=not show,
    )
    with bar:
        task = bar.add_task("rows", total=n_rows)
        yield lambda n: bar.advance(task, n)
