from __future__ import annotations

import threading

import numpy as np
import pytest

from paradox.cluster.summaries import MAX_AGE_S, TOO_OLD_S, SummaryCache, SummaryKeeper
from paradox.core.errors import ShardUnavailable
from paradox.routing import summarize


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def summary(shard=0, seq=1, epoch=1, n_live=10):
    vectors = np.random.default_rng(seq).standard_normal((10, 4)).astype(np.float32)
    return summarize(vectors, shard=shard, metric="l2", n_live=n_live, seq=seq, epoch=epoch)


class Source:
    """Summaries of shards, as they would come over the wire."""

    def __init__(self, *summaries):
        self.replies = {s.shard: s for s in summaries}
        self.asked = threading.Semaphore(0)
        self.times = 0

    def summaries(self, known, *, timeout_s):
        self.times += 1
        self.asked.release()
        return dict(self.replies)


def _settled(cache):
    for thread in threading.enumerate():
        if thread.name in ("summary", "summaries"):
            thread.join(5)


@pytest.fixture
def changing(clock):
    """A shard whose summary takes a second to make."""

    class Changing:
        seq, n_live, made = 1, 10, 0

        def make(self):
            self.made += 1
            clock.now += 1.0
            return summary(seq=self.seq, n_live=self.n_live)

    return Changing()


def test_a_summary_is_made_once_and_kept(changing, clock):
    keeper = SummaryKeeper(changing.make, lambda: changing.seq, lambda: 10, clock=clock)
    first = keeper.current()
    clock.now += 1000
    assert keeper.current() is first
    assert changing.made == 1


def test_a_changed_shard_is_summarized_again_but_not_more_than_a_twentieth_of_the_time(
    changing, clock
):
    keeper = SummaryKeeper(
        changing.make, lambda: changing.seq, lambda: changing.n_live, clock=clock
    )
    keeper.current()
    changing.seq, changing.n_live = 2, 11
    clock.now += 19
    behind = keeper.current()
    assert (behind.seq, behind.n_live, changing.made) == (1, 11, 1)  # it tells that it is behind
    clock.now += 1.01
    keeper.current()
    _settled(keeper)
    assert (keeper.current().seq, changing.made) == (2, 2)


def test_the_first_query_waits_for_summaries_and_later_ones_do_not(clock):
    source = Source(summary(0), summary(1))
    cache = SummaryCache(source, n_shards=2, dim=4, clock=clock)
    first = cache.current(timeout_s=1)
    assert [s.shard for s in first] == [0, 1]
    clock.now += MAX_AGE_S / 2
    assert cache.current(timeout_s=1) is first
    assert source.times == 1
    source.replies[0] = summary(0, seq=5)
    clock.now += MAX_AGE_S
    assert cache.current(timeout_s=1)[0].seq in (1, 5)  # the newer one comes beside the query
    _settled(cache)
    assert cache.current(timeout_s=1)[0].seq == 5
    assert source.times == 2


def test_after_a_pause_a_query_waits_for_newer_summaries(clock):
    source = Source(summary(0, seq=1), summary(1, seq=1))
    cache = SummaryCache(source, n_shards=2, dim=4, clock=clock)
    cache.current(timeout_s=1)
    source.replies[1] = summary(1, seq=8)  # another client wrote
    clock.now += TOO_OLD_S + 1
    assert cache.current(timeout_s=1)[1].seq == 8
    assert source.times == 2


def test_a_written_shard_is_asked_until_its_summary_tells_of_the_write(clock):
    source = Source(summary(0, seq=1), summary(1, seq=1))
    cache = SummaryCache(source, n_shards=2, dim=4, clock=clock)
    cache.current(timeout_s=1)
    cache.wrote(1, seq=3)
    assert cache.unseen_writes() == (1,)
    source.replies[1] = summary(1, seq=2)
    cache.refresh(timeout_s=1)
    assert cache.unseen_writes() == (1,)
    source.replies[1] = summary(1, seq=3)
    cache.refresh(timeout_s=1)
    assert cache.unseen_writes() == ()


def test_a_write_before_the_first_summary_is_not_forgotten(clock):
    cache = SummaryCache(Source(summary(0, seq=1)), n_shards=1, dim=4, clock=clock)
    cache.wrote(0, seq=9)
    cache.current(timeout_s=1)
    assert cache.unseen_writes() == (0,)


def test_a_shard_that_never_told_its_summary_stands_in_as_one_to_be_asked(clock):
    source = Source(summary(0, n_live=40), summary(1, n_live=20))
    source.replies[1] = ShardUnavailable("gone")
    cache = SummaryCache(source, n_shards=2, dim=4, clock=clock)
    known, unknown = cache.current(timeout_s=1)
    assert (known.n_live, unknown.n_live, len(unknown.centroids)) == (40, 40, 0)
    assert not unknown.healthy


def test_an_older_summary_never_replaces_a_newer_one(clock):
    source = Source(summary(0, seq=7))
    cache = SummaryCache(source, n_shards=1, dim=4, clock=clock)
    cache.current(timeout_s=1)
    source.replies[0] = summary(0, seq=6)
    cache.refresh(timeout_s=1)
    assert cache.current(timeout_s=1)[0].seq == 7
    source.replies[0] = summary(0, seq=2, epoch=2)  # a later life of the shard
    cache.refresh(timeout_s=1)
    assert cache.current(timeout_s=1)[0].seq == 2
