"""What is fed is what a snapshot says, from any number of threads, within bounded memory."""

from __future__ import annotations

import math
import pickle
import threading

import numpy as np
import pytest

from paradox.core.errors import InvalidArgument
from paradox.observe import Histogram, Recorder
from paradox.observe.names import QUERIES, QUERY_SECONDS, RECORDS

PAPERS = ("papers",)
TOTAL = ("papers", "total")


def test_counters_add_up_and_gauges_keep_the_last_value() -> None:
    recorder = Recorder()
    recorder.count(QUERIES, PAPERS)
    recorder.count(QUERIES, PAPERS, 4)
    recorder.count(QUERIES, ("notes",), 2)
    recorder.set(RECORDS, ("papers", "0"), 10)
    recorder.set(RECORDS, ("papers", "0"), 7)
    snapshot = recorder.snapshot()
    assert snapshot.counters == {(QUERIES.name, PAPERS): 5, (QUERIES.name, ("notes",)): 2}
    assert snapshot.gauges == {(RECORDS.name, ("papers", "0")): 7}


def test_a_snapshot_stays_as_it_was_and_crosses_processes() -> None:
    recorder = Recorder()
    recorder.observe(QUERY_SECONDS, TOTAL, 0.5)
    snapshot = recorder.snapshot()
    recorder.observe(QUERY_SECONDS, TOTAL, 0.5)
    histogram = pickle.loads(pickle.dumps(snapshot)).histograms[QUERY_SECONDS.name, TOTAL]  # noqa: S301
    assert histogram.count == 1
    assert recorder.snapshot().histograms[QUERY_SECONDS.name, TOTAL].count == 2


@pytest.mark.parametrize("percent", [1, 25, 50, 90, 99, 99.9])
def test_percentiles_are_within_six_percent(percent: float) -> None:
    values = np.random.default_rng(3).lognormal(mean=-6, sigma=1.5, size=20_000)
    histogram = Histogram(1e-6, 100.0)
    for value in values.tolist():
        histogram.observe(value)
    expected = float(np.percentile(values, percent, method="inverted_cdf"))
    assert histogram.percentile(percent) == pytest.approx(expected, rel=0.06)
    assert histogram.mean() == pytest.approx(values.mean())
    assert histogram.percentile(0) == values.min()
    assert histogram.percentile(100) == values.max()


def test_a_histogram_stays_small_and_holds_what_is_out_of_its_bounds() -> None:
    histogram = Histogram(1e-3, 10.0)
    size = len(histogram.buckets)
    for value in (-1.0, 0.0, 1e-9, 1e-3, 10.0, 1e6):
        histogram.observe(value)
    assert len(histogram.buckets) == size
    assert sum(histogram.buckets) == histogram.count == 6
    assert histogram.buckets[0] == 4
    assert histogram.buckets[-1] == 1
    assert histogram.percentile(99) == 1e6


def test_every_small_whole_number_has_a_bucket_of_its_own() -> None:
    histogram = Histogram(1.0, 10_000.0)
    for shards in range(1, 9):
        histogram.observe(shards)
    assert sorted(histogram.buckets, reverse=True)[:8] == [1] * 8


def test_an_empty_histogram_has_no_percentile() -> None:
    histogram = Histogram(1e-6, 1.0)
    assert math.isnan(histogram.percentile(50))
    assert math.isnan(histogram.mean())


def test_histograms_of_several_shards_add_up() -> None:
    together, parts = Histogram(1e-6, 1.0), [Histogram(1e-6, 1.0) for _ in range(3)]
    for i, value in enumerate(np.random.default_rng(5).uniform(0, 1, 300).tolist()):
        together.observe(value)
        parts[i % 3].observe(value)
    parts[0].add(parts[1])
    parts[0].add(parts[2])
    assert parts[0].buckets == together.buckets
    assert parts[0].percentile(90) == together.percentile(90)
    with pytest.raises(InvalidArgument, match="bounds"):
        parts[0].add(Histogram(1e-6, 2.0))


def test_a_metric_fed_as_what_it_is_not_is_refused() -> None:
    recorder = Recorder()
    with pytest.raises(InvalidArgument, match="expected a histogram; it is a counter"):
        recorder.observe(QUERIES, PAPERS, 1.0)
    with pytest.raises(InvalidArgument, match="expected a gauge; it is a histogram"):
        recorder.set(QUERY_SECONDS, TOTAL, 1.0)
    with pytest.raises(InvalidArgument, match="expected a counter; it is a gauge"):
        recorder.count(RECORDS, ("papers", "0"))
    with pytest.raises(InvalidArgument, match="expected the labels"):
        recorder.count(QUERIES, ("papers", "0"))
    with pytest.raises(InvalidArgument, match="0 or more"):
        recorder.count(QUERIES, PAPERS, -1)
    with pytest.raises(InvalidArgument, match="0 to 100"):
        Histogram(1.0, 2.0).percentile(101)
    snapshot = recorder.snapshot()
    assert not snapshot.counters
    assert not snapshot.gauges
    assert not snapshot.histograms


def test_nothing_is_lost_between_threads() -> None:
    recorder = Recorder()

    def feed() -> None:
        for _ in range(5_000):
            recorder.count(QUERIES, PAPERS)
            recorder.observe(QUERY_SECONDS, TOTAL, 0.001)

    threads = [threading.Thread(target=feed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = recorder.snapshot()
    assert snapshot.counters[QUERIES.name, PAPERS] == 20_000
    assert snapshot.histograms[QUERY_SECONDS.name, TOTAL].count == 20_000
