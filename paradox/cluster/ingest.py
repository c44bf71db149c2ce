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

from paradox.cluster.actors import logical_cpus
from paradox.cluster.collection import Collection
from paradox.cluster.columns import Recipe, SourceColumns
from paradox.cluster.failures import translated
from paradox.cluster.pipeline import Piece, Plan, of_dataset, of_pieces, written
from paradox.cluster.repeats import with_repeats
from paradox.cluster.sources import find_files
from paradox.cluster.survey import CheckedFile, checked, work_left
from paradox.cluster.training import sample_of_dataset, sample_of_pieces, train
from paradox.core.errors import InvalidArgument

BATCH_SIZE = 1_024
_NAMED = 3  # files in a warning


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ingest did.

    Attributes:
        files: files of the source, 0 for a dataset.
        empty_files: of them, those without a row.
        rows: rows that went in.
        inserted: of them, records that were new.
        replaced: of them, records that replaced one that was there before.
        duplicates: of them, rows that left no record, since their id came again.
        rows_before: rows left out because an earlier run had finished them.
        seconds: how long it took.
    """

    files: int
    empty_files: tuple[str, ...]
    rows: int
    inserted: int
    replaced: int
    duplicates: int
    rows_before: int
    seconds: float

    def __str__(self) -> str:
        again = f", {self.duplicates:,} whose id came again" if self.duplicates else ""
        before = f"; {self.rows_before:,} were in already" if self.rows_before else ""
        return (
            f"{self.rows:,} rows written in {self.seconds:.1f} s: {self.inserted:,} new, "
            f"{self.replaced:,} replaced{again}{before}"
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

    Where rows of the source have the same id, the last is kept, in the order of the files and their
    rows; of a dataset, which has no order, the one that is written last. A warning says so, and
    another names files without rows.

    Args:
        collection: where they go.
        source: paths or URIs of Parquet, CSV, JSON or Lance files, folders and globs of them; or
            any Ray dataset. For the first rows of a collection a dataset is executed twice, as a
            sample of all of it trains the partitioner: materialize one that is costly to make.
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
    columns = SourceColumns(id_column, vector_column, text_column, payload_columns)
    recipe = _recipe(collection, columns)
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
    files: list[CheckedFile] = []
    work: list[Piece] = []
    rows = inserted = replaced = 0
    with _streaming():
        if isinstance(source, ray.data.Dataset):
            train(plan, partial(sample_of_dataset, plan, source))
            batches = of_dataset(source, plan)
            rows, inserted, replaced = _executed(written(batches, plan), None, progress)
        else:
            files = checked(find_files(source), plan, resume=resume)
            work = work_left(files, plan)
        if work:
            train(plan, partial(sample_of_pieces, plan, work))
            if recipe.id:
                work = with_repeats(work, [(each.file, each.key) for each in files], recipe)
            batches = of_pieces(work, plan)
            n_rows = sum(piece.n_rows for piece in work)
            rows, inserted, replaced = _executed(written(batches, plan), n_rows, progress)
    report = IngestReport(
        files=len(files),
        empty_files=tuple(each.file.path for each in files if not each.known.n_rows),
        rows=rows,
        inserted=inserted,
        replaced=replaced,
        duplicates=rows - inserted - replaced,
        rows_before=sum(each.known.n_rows for each in files) - sum(p.n_rows for p in work),
        seconds=time.monotonic() - started,
    )
    _warn(report, in_order=not is_dataset)
    return report


def _recipe(collection: Collection, columns: SourceColumns) -> Recipe:
    settings = collection.settings
    recipe = columns.recipe(
        settings.dim, settings.metric, with_encoder=settings.encoder is not None
    )
    if recipe.vector is None:
        collection.encoder()  # raises where there is none
    return recipe


def _executed(done: ray.data.Dataset, n_rows: int | None, progress: bool) -> tuple[int, int, int]:
    """Run the pipeline; return how many rows went in, were new, and replaced one from before."""
    rows = inserted = replaced = 0
    brought = [np.zeros(0, np.int64)]
    with _bar(n_rows, progress) as advance:
        try:
            for batch in done.iter_batches(batch_size=None, batch_format="numpy"):
                n = int(batch["rows"].sum())
                advance(n)
                rows += n
                inserted += int(batch["inserted"].sum())
                replaced += int(batch["replaced"].sum())
                brought += [np.frombuffer(ids, np.int64) for ids in batch["ids"]]
        except RayError as error:
            raise translated(error, "a stage of the ingest") from None
    ids = np.concatenate(brought)
    if len(ids):  # what replaced a record of an earlier batch replaced none from before
        replaced = len(np.unique(ids)) - inserted
    return rows, inserted, replaced


def _warn(report: IngestReport, *, in_order: bool) -> None:
    """Say what a caller should know of a source that went in."""
    if report.duplicates:
        kept = "the last of each was kept" if in_order else "the one of each written last was kept"
        warnings.warn(
            f"ingest: {report.duplicates} of {report.rows} ids came again in the source; {kept}",
            stacklevel=3,
        )
    if report.empty_files:
        named = ", ".join(report.empty_files[:_NAMED])
        more = len(report.empty_files) - _NAMED
        warnings.warn(
            f"ingest: no rows in {named}{f' and {more} more files' if more > 0 else ''}",
            stacklevel=3,
        )


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
