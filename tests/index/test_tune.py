"""The smallest effort that reaches a recall, found with few tries."""

from __future__ import annotations

import numpy as np
import pytest

from paradox.core.types import Neighbors
from paradox.index.tune import found_shares, smallest_effort

K, N_QUERIES, GREATEST = 10, 100, 4_096


def answer(n_found):
    """Return an answer that has the n nearest of each query, at distances 0 to 9."""
    ids = np.tile(np.arange(K), (N_QUERIES, 1))
    distances = np.tile(np.arange(K, dtype=np.float32), (N_QUERIES, 1))
    missed = np.arange(K) >= np.asarray(n_found)[..., np.newaxis]
    return Neighbors(np.where(missed, -1, ids), np.where(missed, np.inf, distances))


TRUTH = answer(np.full(N_QUERIES, K))


@pytest.mark.parametrize("needed", [1, 2, 3, 17, 100, 1_000, 4_000])
def test_it_finds_the_step(needed):
    tried = []

    def search(effort):
        tried.append(effort)
        return answer(np.full(N_QUERIES, K if effort >= needed else 5))

    found = smallest_effort(search, TRUTH, 0.9, greatest=GREATEST)
    assert needed <= found <= max(needed, 1.06 * needed)
    assert len(tried) == len(set(tried)) <= 24


def test_what_cannot_be_reached_gives_the_greatest():
    poor = answer(np.full(N_QUERIES, 3))
    assert smallest_effort(lambda effort: poor, TRUTH, 0.9, greatest=64) == 64


def test_a_recall_reached_by_luck_is_not_reached():
    """Half of the queries lack two of ten: 0.9 on the mean, but not beyond doubt."""
    wavering = np.where(np.arange(N_QUERIES) % 2, 10, 8)
    found = smallest_effort(lambda effort: answer(wavering), TRUTH, 0.9, greatest=64)
    assert found == 64
    assert smallest_effort(lambda effort: answer(wavering), TRUTH, 0.88, greatest=64) == 1


def test_ties_count_as_found_and_padding_does_not():
    truth = Neighbors(np.array([[1, 2, -1]]), np.array([[0, 5, np.inf]], np.float32))
    tie = Neighbors(np.array([[1, 9, -1]]), np.array([[0, 5, np.inf]], np.float32))
    short = Neighbors(np.array([[1, -1, -1]]), np.array([[0, np.inf, np.inf]], np.float32))
    assert found_shares(tie, truth).tolist() == [1.0]
    assert found_shares(short, truth).tolist() == [0.5]
    nothing = Neighbors(np.full((1, 3), -1), np.full((1, 3), np.inf, np.float32))
    assert found_shares(nothing, nothing).tolist() == [0.0]


@pytest.mark.parametrize("lowest", [-(2**63), -(10**6), 0])
def test_every_id_but_that_of_padding_is_an_answer(lowest):
    ids = np.array([[lowest, lowest + 1, -2]])
    distances = np.arange(3, dtype=np.float32)[np.newaxis]
    truth = Neighbors(ids, distances)
    found = Neighbors(np.array([[lowest, lowest + 1, -1]]), np.array([[0, 1, np.inf]], np.float32))
    assert found_shares(truth, truth).tolist() == [1.0]
    assert found_shares(found, truth) == pytest.approx(2 / 3)
