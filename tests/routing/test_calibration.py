from __future__ import annotations

import numpy as np
import pytest

from paradox.routing import ThresholdCalibration

N_SHARDS = 8


def _world(n, *, seed, sharpness=1.0, k=10):
    """Return predicted shares, and how many of k each shard gave if they are right.

    With a sharpness other than 1 the predictions are wrong, too sure of themselves or not enough.
    """
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.full(N_SHARDS, 0.15), n)
    given = np.stack([rng.multinomial(k, row) for row in true])
    told = (true + 1e-6) ** sharpness
    return (told / told.sum(1, keepdims=True)).astype(np.float32), given


def _kept(shares, given, threshold):
    asked = (shares >= threshold) | (shares == shares.max(1, keepdims=True))
    return (given * asked).sum(1).mean() / 10, asked.sum(1).mean()


def _learnt(n=512, **world):
    calibration = ThresholdCalibration()
    calibration.observe(*_world(n, seed=1, **world))
    return calibration


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("share", [0.8, 0.9, 0.95, 0.975])
def test_queries_asked_later_keep_the_share_by_few_shards_however_well_shares_are_told(
    share, sharpness
):
    threshold = _learnt(sharpness=sharpness).threshold(share)
    shares, given = _world(6_000, seed=2, sharpness=sharpness)
    kept, n_asked = _kept(shares, given, threshold)
    assert share - 0.006 <= kept <= share + 0.03
    least = min(
        n for t in np.geomspace(1e-6, 1, 150) for k, n in [_kept(shares, given, t)] if k >= share
    )
    assert n_asked <= 1.12 * least


def test_one_threshold_asks_fewer_than_a_share_for_each_query():
    shares, given = _world(6_000, seed=3)
    kept, n_asked = _kept(shares, given, _learnt().threshold(0.9))
    order = np.argsort(-shares, axis=1)
    ranked = np.take_along_axis(shares, order, 1)
    held = np.take_along_axis(given, order, 1)
    for of_each in np.linspace(0.7, 0.99, 60):
        asked = ranked.cumsum(1) - ranked < of_each
        if (held * asked).sum(1).mean() / 10 >= kept:
            assert n_asked < asked.sum(1).mean()
            return
    raise AssertionError("no share for each query keeps as much")


def test_it_says_nothing_before_it_knows_enough():
    calibration = _learnt(63)
    assert calibration.threshold(0.9) is None
    calibration.observe(*_world(1, seed=5))
    assert calibration.threshold(0.9) is not None


@pytest.mark.parametrize("share", [0.97, 0.999, 1 - 1e-12])
def test_what_is_kept_for_sure_by_all_shards_only_asks_all(share):
    shares, given = _world(100, seed=6, k=1)
    given = np.roll(given, 1, axis=1)  # the wrong shards
    calibration = ThresholdCalibration()
    calibration.observe(shares, given)
    threshold = calibration.threshold(share)
    assert _kept(shares, given, threshold)[0] == 1 / 10  # of one, where others have ten
    assert threshold < 1e-5


def test_queries_that_nothing_was_found_for_tell_nothing():
    shares, given = _world(200, seed=7)
    calibration = ThresholdCalibration()
    calibration.observe(shares, np.zeros_like(given))
    assert calibration.threshold(0.9) is None


def test_the_last_queries_count_and_another_number_of_shards_begins_anew():
    calibration = _learnt(sharpness=0.3)
    before = calibration.threshold(0.9)
    for seed in range(10, 14):
        calibration.observe(*_world(200, seed=seed, sharpness=2.0))
    assert calibration.threshold(0.9) == pytest.approx(
        _learnt(sharpness=2.0).threshold(0.9), rel=0.5
    )
    assert calibration.threshold(0.9) < before / 3
    calibration.observe(np.full((5, 3), 1 / 3, np.float32), np.full((5, 3), 4))
    assert calibration.threshold(0.9) is None


def test_one_query_in_four_goes_everywhere_at_first_and_one_in_200_later():
    calibration = ThresholdCalibration()
    assert 200 < len(calibration.choose(1_000)) < 300
    chosen = calibration.choose(8_000)
    assert len(chosen) == 512
    assert 0.4 < (chosen < 4_000).mean() < 0.6  # from all over, as neighbouring queries are alike
    calibration.observe(*_world(100, seed=1))
    later = sum(len(calibration.choose(1)) for _ in range(20_000))
    assert 70 < later < 130
    chosen = calibration.choose(5_000)
    assert (np.diff(chosen) > 0).all()
    assert chosen.max() > 2_500
