"""The demo: the documentation of every Python package here, found again by what it means.

    python -m examples.demo [--limit 15000] [--keep] [--json]

Reads docstrings, embeds them, stores them in four shards on Ray, answers five questions in words,
and measures recall against an exact search in float64. Leaves nothing running unless told to.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

import paradox
from examples.data import docstrings
from paradox.adapt import encoders
from paradox.cluster import local
from paradox.cluster.client import Client
from paradox.cluster.collection import Collection
from paradox.cluster.ingest import ingest
from paradox.core.errors import ParadoxError
from paradox.core.types import F32Matrix, I64Matrix
from paradox.printing import exit_code, printable, program

COLLECTION = "python-docs"
ENCODER = "use-multilingual-v3"
SHARDS = 4
HELD_OUT = 200
RECALL_GOAL = 0.95
K = 10
SHOWN = 3
MAX_SHOWN = 110  # characters of a summary
REPEATS = 20
QUESTIONS = (
    "how do I parse a date from a string",
    "delete a folder with everything in it",
    "run a function in several processes at once",
    "compress bytes",
    "find the longest common part of two sequences",
)
_GET_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question found.

    Attributes:
        question: in words.
        found: name, signature, summary and distance of the nearest functions, nearest first.
        encode_ms: median time to embed the question.
        search_ms: median time of the query, from this process and back.
        shards_touched: shards that were asked.
    """

    question: str
    found: list[dict[str, Any]]
    encode_ms: float
    search_ms: float
    shards_touched: int


@dataclass(frozen=True, slots=True)
class Quality:
    """How the answers to held-out documents compare with an exact search.

    Attributes:
        n_queries: documents asked for that are not in the collection.
        recall_at_10: share of the exact ten nearest that was found.
        shards_touched: shards asked for each query, on average.
        p50_ms: median time of a query.
        p99_ms: 99th percentile of it.
    """

    n_queries: int
    recall_at_10: float
    shards_touched: float
    p50_ms: float
    p99_ms: float


class Steps:
    """Says what happens and how long it took; on standard error, so that JSON stays alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._console = Console(stderr=True)

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[None]:
        """Time a step."""
        self._console.print(f"[bold]{doing}[/bold]")
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)
        self._console.print(f"  done in {self.seconds[name]} s", style="dim")


def main() -> None:
    """Run the demo; exit with 1 if recall is below the goal."""
    given = _options()
    try:
        holds = _run(given)
    except KeyboardInterrupt:
        sys.exit(130)
    except ParadoxError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
    sys.exit(0 if holds else 1)


def _run(given: argparse.Namespace) -> bool:
    steps = Steps()
    with steps.step("read", "Reading the documentation of the Python packages installed here"):
        documents, held_out = _split(docstrings.read(limit=given.limit + HELD_OUT))
    before = local.running()
    with steps.step("start", "Starting Ray" if before is None else "Joining the Ray that runs"):
        cluster = local.start() if given.keep else before
        client = paradox.connect(address=cluster.address if cluster else None)
    with client:
        try:
            doing = f"Embedding {documents.num_rows:,} texts, and storing them in {SHARDS} shards"
            with steps.step("ingest", doing):
                collection = _ingest(client, documents)
            with steps.step("ask", f"Asking {len(QUESTIONS)} questions"):
                answers = [_ask(collection, question) for question in QUESTIONS]
            with steps.step("check", f"Comparing {HELD_OUT} queries with an exact search"):
                quality = _compare(collection, documents.num_rows, held_out)
        finally:
            if not given.keep and COLLECTION in client.list():
                client.drop(COLLECTION)
    if given.json:
        found = {
            "documents": documents.num_rows,
            "shards": SHARDS,
            "answers": [asdict(answer) for answer in answers],
            "quality": asdict(quality),
            "recall_goal": RECALL_GOAL,
            "seconds": steps.seconds,
            "kept": given.keep,
            "dashboard": cluster.dashboard_url if cluster else "",
        }
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _show(answers, quality, documents.num_rows)
        _show_ways_on(cluster, kept=given.keep)
    return quality.recall_at_10 >= RECALL_GOAL


def _split(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Return the documents to store, and the texts of those held out as queries."""
    out = np.zeros(table.num_rows, bool)
    out[np.random.default_rng(0).choice(table.num_rows, HELD_OUT, replace=False)] = True
    documents = table.filter(pa.array(~out))
    ids = pa.array(np.arange(documents.num_rows))
    return documents.append_column("id", ids), table.filter(pa.array(out))["text"].to_pylist()


def _ingest(client: Client, documents: pa.Table) -> Collection:
    if COLLECTION in client.list():
        client.drop(COLLECTION)  # of an earlier run: other packages may have been installed then
    collection = client.create(COLLECTION, encoder=ENCODER, shards=SHARDS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "docstrings.parquet")
        pq.write_table(documents, path)
        ingest(collection, str(path), id_column="id")
    return collection


def _ask(collection: Collection, question: str) -> Answer:
    encoder = encoders.load(ENCODER)
    encode_ms, search_ms = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        [vector] = encoder.encode([question])
        encoded = time.perf_counter()
        hits = collection.query(vector, K)
        encode_ms.append(1e3 * (encoded - start))
        search_ms.append(1e3 * (time.perf_counter() - encoded))
    nearest = zip(hits.records(), hits.distances.tolist(), strict=True)
    return Answer(
        question,
        [
            {
                **{column: record.payload[column] for column in ("name", "signature", "summary")},
                "distance": round(distance, 3),
            }
            for record, distance in nearest
        ],
        float(np.median(encode_ms)),
        float(np.median(search_ms)),
        hits.shards_touched,
    )


def _compare(collection: Collection, n: int, held_out: list[str]) -> Quality:
    queries = encoders.load(ENCODER).encode(held_out)
    nearest = exact(queries, _vectors(collection, n), K)
    found, touched, times_ms = [], [], []
    for query, expected in zip(queries, nearest, strict=True):
        start = time.perf_counter()
        hits = collection.query(query, K)
        times_ms.append(1e3 * (time.perf_counter() - start))
        found.append(len(np.intersect1d(hits.ids, expected)) / K)
        touched.append(hits.shards_touched)
    p50, p99 = np.percentile(times_ms, [50, 99])
    return Quality(len(queries), float(np.mean(found)), float(np.mean(touched)), p50, p99)


def _vectors(collection: Collection, n: int) -> F32Matrix:
    """Return the stored vectors of ids 0 to n - 1; every document must be there."""
    vectors = []
    for start in range(0, n, _GET_ROWS):
        ids = range(start, min(start + _GET_ROWS, n))
        for number, record in zip(ids, collection.get(list(ids)), strict=True):
            if record is None:
                raise RuntimeError(f"document {number} was ingested and is not there")
            vectors.append(record.vector)
    return np.stack(vectors)


def exact(queries: F32Matrix, vectors: F32Matrix, k: int) -> I64Matrix:
    """Return the (n_queries, k) nearest of vectors of length 1, by cosine, in float64."""
    products = queries.astype(np.float64) @ vectors.astype(np.float64).T
    return np.argpartition(-products, k - 1, axis=1)[:, :k]


def _show(answers: list[Answer], quality: Quality, n: int) -> None:
    console = Console()
    table = Table(title="Five questions", title_justify="left", show_lines=True)
    table.add_column("asked", max_width=24)
    table.add_column("found", overflow="fold")
    table.add_column("ms", justify="right")
    table.add_column("shards", justify="right", no_wrap=True)
    for answer in answers:
        found = Text()
        for hit in answer.found[:SHOWN]:
            summary = shorten(printable(hit["summary"]), MAX_SHOWN, placeholder=" …")
            found.append(hit["name"], style="bold").append(f"\n{summary}\n")
        found.rstrip()
        shards = f"{answer.shards_touched} of {SHARDS}"
        table.add_row(Text(answer.question), found, f"{answer.search_ms:.1f}", shards)
    console.print(table)
    encode_ms = np.median([answer.encode_ms for answer in answers])
    for figure, value in {
        "documents": f"{n:,}",
        "recall@10": f"{quality.recall_at_10:.3f} against exact search, over {quality.n_queries} "
        f"held-out queries (goal {RECALL_GOAL})",
        "latency": f"p50 {quality.p50_ms:.1f} ms, p99 {quality.p99_ms:.1f} ms; to embed a "
        f"question takes {encode_ms:.1f} ms more",
        "shards": f"{quality.shards_touched:.1f} of {SHARDS} asked a query",
    }.items():
        console.print(f"{figure:<10} {value}", soft_wrap=True)
    console.print()


def _show_ways_on(cluster: local.LocalCluster | None, *, kept: bool) -> None:
    paradox_here = program("paradox")
    if not kept:
        if cluster is None:
            print("Nothing is left running. To go on asking: make demo KEEP=1, and then")
        else:
            print("The Ray that ran before still runs, without the documents. To go on asking:")
            print("make demo KEEP=1, and then")
        print(f'  {paradox_here} query "{QUESTIONS[0]}" -c {COLLECTION}')
        return
    print("It still runs. Go on with")
    print(f'  {paradox_here} query "{QUESTIONS[0]}" -c {COLLECTION}')
    print(f"  {paradox_here} status")
    print(f"  {paradox_here} down")
    if cluster and cluster.dashboard_url:
        token = f", which asks for what `{program('ray')} get-auth-token` prints"
        print(f"Dashboard: {cluster.dashboard_url}{token if cluster.with_token else ''}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="real documents in, real answers out")
    parser.add_argument("--limit", type=int, default=15_000, help="documents at most (15000)")
    parser.add_argument("--keep", action="store_true", help="leave Ray and the documents there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    main()
