from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import clusters, distances, gaussian

from paradox.core.errors import CorruptionError, InvalidArgument
from paradox.routing import (
    HashPartitioner,
    SemanticPartitioner,
    partitioner_from_bytes,
    sample_size,
)

NOTHING = np.empty((0, 0), np.float32)
_64_BITS = (1 << 64) - 1


def _splitmix64(number):
    x = (number + 0x9E3779B97F4A7C15) & _64_BITS
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _64_BITS
    return x ^ (x >> 31)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(1, 4096))
@settings(deadline=None, derandomize=True)
def test_a_hash_is_the_same_on_every_machine_and_for_ever(ids, n_shards):
    placed = HashPartitioner(n_shards).place(np.array(ids, np.int64), NOTHING)
    assert placed.dtype == np.int32
    assert placed.tolist() == [_splitmix64(i & _64_BITS) % n_shards for i in ids]


@pytest.mark.parametrize("step", [1, 2, 16, 1 << 20, -3])
def test_a_hash_spreads_ids_evenly_whatever_their_pattern(step):
    ids = step * np.arange(64_000, dtype=np.int64)
    counts = np.bincount(HashPartitioner(16).place(ids, NOTHING), minlength=16)
    assert counts.min() > 3_700  # of 4,000; a standard deviation is 61
    assert counts.max() < 4_300


@pytest.fixture(scope="module")
def trained():
    """A partitioner of 16 shards, the vectors it learnt from, and others like them."""
    n = sample_size(16, 24)
    vectors = clusters(2 * n, 24, n_clusters=300, apart=1.0)
    sample, others = vectors[:n], vectors[n:]
    return SemanticPartitioner.train(sample, 16, metric="l2"), sample, others


def test_shards_by_meaning_are_balanced_for_records_not_learnt_from_too(trained):
    partitioner, sample, others = trained
    for vectors in (sample, others):
        counts = np.bincount(partitioner.place(np.arange(len(vectors)), vectors), minlength=16)
        assert counts.max() <= 1.06 * counts.mean()
        assert counts.min() >= 0.94 * counts.mean()


def test_like_vectors_share_a_shard(trained):
    partitioner, _, others = trained
    homes = partitioner.place(np.arange(len(others)), others)
    nearest = np.argsort(distances(others[:300], others, "l2"), axis=1)[:, 1:11]
    assert (homes[nearest] == homes[:300, None]).mean() > 0.5  # by chance one in 16


def test_a_record_goes_where_the_nearest_cell_belongs(trained):
    partitioner, _, others = trained
    nearest = distances(others[:1000], partitioner.cells, "l2").argmin(axis=1)
    np.testing.assert_array_equal(
        partitioner.place(np.arange(1000), others[:1000]), partitioner.shard_of_cell[nearest]
    )
    assert partitioner.place(np.arange(0), others[:0]).shape == (0,)
    assert (partitioner.by_id, HashPartitioner(2).by_id) == (False, True)


def test_the_same_sample_and_seed_give_the_same_partitioner(trained):
    _, sample, _ = trained
    first, again = (SemanticPartitioner.train(sample[:2000], 4, metric="l2") for _ in range(2))
    other = SemanticPartitioner.train(sample[:2000], 4, metric="l2", seed=1)
    assert first.to_bytes() == again.to_bytes() != other.to_bytes()


def test_lengths_do_not_matter_under_cosine():
    vectors = clusters(3_000, 6)
    lengths = 2.0 ** np.random.default_rng(0).integers(-20, 20, (3_000, 1))
    partitioner = SemanticPartitioner.train(vectors, 4, metric="cosine")
    ids = np.arange(3_000)
    np.testing.assert_array_equal(
        partitioner.place(ids, vectors),
        partitioner.place(ids, (vectors * lengths).astype(np.float32)),
    )


@pytest.mark.parametrize("outlier", [1e6, 1e12, 3e38])
def test_one_outlier_in_the_sample_does_not_put_all_records_into_one_shard(outlier):
    vectors = gaussian(4_000, 8)
    sample = np.concatenate([vectors, np.full((1, 8), outlier, np.float32)])
    partitioner = SemanticPartitioner.train(sample, 4, metric="l2")
    counts = np.bincount(partitioner.place(np.arange(4_000), vectors), minlength=4)
    assert counts.max() <= 1.10 * counts.mean()


@pytest.mark.parametrize("n", [1, 2, 7])
def test_fewer_vectors_than_shards_are_enough_to_go_on_with(n):
    sample = gaussian(n, 5)
    partitioner = SemanticPartitioner.train(sample, 16, metric="ip")
    homes = partitioner.place(np.arange(n), sample)
    assert len(set(homes.tolist())) == n
    assert homes.max() < 16


def test_equal_vectors_stay_together():
    partitioner = SemanticPartitioner.train(np.ones((500, 3), np.float32), 4, metric="l2")
    homes = partitioner.place(np.arange(9), np.ones((9, 3), np.float32))
    assert len(set(homes.tolist())) == 1


def test_what_cannot_be_partitioned_is_refused():
    with pytest.raises(InvalidArgument, match="sample"):
        SemanticPartitioner.train(gaussian(0, 5), 2, metric="l2")
    with pytest.raises(InvalidArgument, match="n_shards"):
        SemanticPartitioner.train(gaussian(10, 5), 0, metric="l2")
    with pytest.raises(InvalidArgument, match="n_shards"):
        HashPartitioner(0)


def test_partitioners_come_out_of_their_bytes_as_they_went_in(trained):
    partitioner, _, others = trained
    ids = np.arange(len(others))
    for kept in (partitioner, HashPartitioner(7)):
        again = partitioner_from_bytes(kept.to_bytes())
        assert type(again) is type(kept)
        assert again.n_shards == kept.n_shards
        assert again.to_bytes() == kept.to_bytes()
        np.testing.assert_array_equal(again.place(ids, others), kept.place(ids, others))
    assert partitioner_from_bytes(partitioner.to_bytes()).metric == "l2"


@pytest.mark.parametrize("kind", ["hash", "semantic"])
def test_damaged_bytes_are_refused_wherever_the_damage_is(kind):
    whole = (
        HashPartitioner(3)
        if kind == "hash"
        else SemanticPartitioner.train(gaussian(20, 2), 2, metric="cosine")
    )
    data = whole.to_bytes()
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        with pytest.raises(CorruptionError):
            partitioner_from_bytes(bytes(damaged))
        with pytest.raises(CorruptionError):
            partitioner_from_bytes(data[:at])
    with pytest.raises(CorruptionError):
        partitioner_from_bytes(data + b"\0")


def test_what_is_no_partitioner_says_so_and_where():
    with pytest.raises(CorruptionError, match="beginning with b'PDXPART1'") as caught:
        partitioner_from_bytes(b"something else entirely")
    assert caught.value.offset == 0
    data = HashPartitioner(3).to_bytes()
    with pytest.raises(CorruptionError, match="checksum") as caught:
        partitioner_from_bytes(data[:-1] + b"\xff")
    assert caught.value.offset == 8
