"""Every metric of Paradox, once: its name, kind, unit, labels and meaning.

Names follow Prometheus: a counter ends in `_total`, and the unit is in the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric.

    Attributes:
        name: as it is exported.
        kind: a counter only grows, a gauge is set, a histogram takes observations.
        unit: seconds, bytes, records, queries, shards, calls, errors, starts or ratio.
        help: what it tells, in one sentence.
        labels: names of the labels each value carries, in order.
        lowest: of a histogram, the least value told apart from zero.
        highest: of a histogram, the greatest value told apart from more.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    lowest: float = 1e-6
    highest: float = 100.0


QUERIES = MetricName(
    "paradox_queries_total",
    "counter",
    "queries",
    "Queries answered, whole or in part; each row of a batch counts.",
    ("collection",),
)
QUERY_SECONDS = MetricName(
    "paradox_query_seconds",
    "histogram",
    "seconds",
    "Time of one query call by stage: plan, shards (fan-out until the last answer), merge, total.",
    ("collection", "stage"),
)
QUERY_SHARDS = MetricName(
    "paradox_query_shards",
    "histogram",
    "shards",
    "Shards asked for one query.",
    ("collection",),
    lowest=1.0,
    highest=10_000.0,
)
QUERY_ERRORS = MetricName(
    "paradox_query_errors_total",
    "counter",
    "errors",
    "Query calls that raised, by class of error.",
    ("collection", "error"),
)
PARTIAL_ANSWERS = MetricName(
    "paradox_partial_answers_total",
    "counter",
    "queries",
    "Queries answered while a shard that should have answered did not.",
    ("collection",),
)
SEARCH_SECONDS = MetricName(
    "paradox_shard_search_seconds",
    "histogram",
    "seconds",
    "Time of one search inside a shard.",
    ("collection", "shard"),
)
SEARCHES_IN_FLIGHT = MetricName(
    "paradox_shard_searches_in_flight",
    "gauge",
    "calls",
    "Searches a shard is working on.",
    ("collection", "shard"),
)
WRITE_SECONDS = MetricName(
    "paradox_shard_write_seconds",
    "histogram",
    "seconds",
    "Time of one write call inside a shard, until it is durable.",
    ("collection", "shard"),
)
RECORDS_ADDED = MetricName(
    "paradox_shard_records_added_total",
    "counter",
    "records",
    "Records inserted or replaced.",
    ("collection", "shard"),
)
RECORDS_DELETED = MetricName(
    "paradox_shard_records_deleted_total",
    "counter",
    "records",
    "Records deleted.",
    ("collection", "shard"),
)
RECORDS = MetricName(
    "paradox_shard_records",
    "gauge",
    "records",
    "Records a shard holds.",
    ("collection", "shard"),
)
RESIDENT_BYTES = MetricName(
    "paradox_shard_resident_bytes",
    "gauge",
    "bytes",
    "Memory a shard's index holds.",
    ("collection", "shard"),
)
SHARD_STARTS = MetricName(
    "paradox_shard_starts_total",
    "counter",
    "starts",
    "Starts of a shard's process; more than one means that it died and was restarted.",
    ("collection", "shard"),
)
INGESTED_RECORDS = MetricName(
    "paradox_ingest_records_total",
    "counter",
    "records",
    "Records that an ingest job had acknowledged.",
    ("collection",),
)
INGEST_BATCH_SECONDS = MetricName(
    "paradox_ingest_batch_seconds",
    "histogram",
    "seconds",
    "Time of one ingest batch, until it is durable in its shards.",
    ("collection",),
)

METRICS: tuple[MetricName, ...] = (
    QUERIES,
    QUERY_SECONDS,
    QUERY_SHARDS,
    QUERY_ERRORS,
    PARTIAL_ANSWERS,
    SEARCH_SECONDS,
    SEARCHES_IN_FLIGHT,
    WRITE_SECONDS,
    RECORDS_ADDED,
    RECORDS_DELETED,
    RECORDS,
    RESIDENT_BYTES,
    SHARD_STARTS,
    INGESTED_RECORDS,
    INGEST_BATCH_SECONDS,
)
"""All of them."""
