from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.curve import (
    CPU,
    P50,
    P99,
    QPS,
    Kept,
    Measured,
    Point,
    at_recall,
    combined,
    fastest,
    front,
    spread,
)

CURVE = [(0.8, 4000.0), (0.9, 1000.0), (0.96, 250.0)]


def _measured(*points: tuple[float, float], build_s: float = 1.0, size: float = 8.0) -> Measured:
    return Measured(
        build_s,
        size,
        tuple(
            Point(effort, 1, recall, {QPS: speed, P50: 1e6 / speed, P99: 2e6 / speed})
            for effort, (recall, speed) in enumerate(points, start=1)
        ),
    )


def test_the_logarithm_of_a_speed_falls_in_a_straight_line() -> None:
    assert at_recall(CURVE, 0.85) == pytest.approx(math.sqrt(4000 * 1000))
    assert at_recall(CURVE, 0.92) == pytest.approx(1000 * (250 / 1000) ** (1 / 3))


@pytest.mark.parametrize(("recall", "speed"), [(0.8, 4000), (0.9, 1000), (0.96, 250)])
def test_at_a_measured_recall_it_is_the_measured_speed(recall: float, speed: float) -> None:
    assert at_recall(CURVE, recall) == pytest.approx(speed)


def test_below_what_was_measured_it_is_the_fastest_point() -> None:
    assert at_recall(CURVE, 0.5) == 4000


def test_a_recall_that_is_not_reached_has_no_speed() -> None:
    assert at_recall(CURVE, 0.97) is None
    assert at_recall([], 0.5) is None


def test_the_order_of_the_points_does_not_matter() -> None:
    assert at_recall(CURVE[::-1], 0.85) == at_recall(CURVE, 0.85)


def test_a_point_that_another_beats_in_both_is_not_on_the_front() -> None:
    beaten = (0.85, 900.0)
    assert front([*CURVE, beaten]) == CURVE
    assert at_recall([*CURVE, beaten], 0.86) == at_recall(CURVE, 0.86)


def test_of_equal_recalls_the_faster_stays() -> None:
    assert front([(0.9, 10.0), (0.9, 20.0)]) == [(0.9, 20.0)]


def test_less_is_better_of_a_latency() -> None:
    latencies = [(0.8, 10.0), (0.9, 40.0), (0.85, 90.0)]
    assert front(latencies, P50) == [(0.8, 10.0), (0.9, 40.0)]
    assert at_recall(latencies, 0.85, P50) == pytest.approx(20.0)


_POINTS = st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(1.0, 1e6)), min_size=1, max_size=20)


@given(_POINTS, st.floats(0.0, 1.0))
def test_a_speed_lies_between_those_of_points_that_do_worse_and_better(
    points: list[tuple[float, float]], recall: float
) -> None:
    speed = at_recall(points, recall)
    better = [s for r, s in points if r >= recall]
    if not better:
        assert speed is None
    else:
        assert speed is not None
        assert max(better) * (1 - 1e-9) <= speed <= max(s for _, s in points) * (1 + 1e-9)


@given(_POINTS)
def test_a_front_rises_in_recall_and_falls_in_speed(points: list[tuple[float, float]]) -> None:
    kept = front(points)
    assert kept == sorted(set(kept))
    assert [s for _, s in kept] == sorted((s for _, s in kept), reverse=True)
    assert all(any(r >= p[0] and s >= p[1] for r, s in kept) for p in points)


def test_figures_are_read_off_at_a_recall() -> None:
    measured = _measured((0.8, 4000), (0.9, 1000))
    assert measured.at(QPS, 0.85) == pytest.approx(2000)
    assert measured.at(P50, 0.85) == pytest.approx(500)
    assert measured.best_recall == 0.9
    assert Measured(1, 1).best_recall is None
    assert Measured(1, 1).at(QPS, 0.5) is None


def test_several_runs_are_their_median_point_by_point() -> None:
    runs = [
        _measured((0.8, 10), (0.9, 5), build_s=1, size=100),
        _measured((0.8, 30), (0.9, 2), build_s=9, size=120),
        _measured((0.86, 20), build_s=2, size=110),
    ]
    whole = combined(runs)
    assert (whole.build_s, whole.bytes_per_vector) == (2, 110)
    assert [(p.effort, p.figures[QPS]) for p in whole.points] == [(1, 20), (2, 3.5)]
    assert [p.recall for p in whole.points] == pytest.approx([0.82, 0.9])


def test_what_came_of_asking_is_combined_too() -> None:
    runs = [Measured(1, 1, (), (Kept(0.9, r, 7, {QPS: q}),)) for r, q in ((0.91, 10), (0.95, 30))]
    [kept] = combined(runs).kept
    assert (kept.asked, kept.effort, kept.figures) == (0.9, 7, {QPS: 20})
    assert kept.reached == pytest.approx(0.93)


def test_of_a_point_measured_again_the_best_is_kept_and_of_p99_the_median() -> None:
    figures = (
        {QPS: 100, P50: 4, P99: 8, CPU: 5},
        {QPS: 200, P50: 2, P99: 9, CPU: 3},
        {QPS: 150, P50: 3, P99: 30, CPU: 4},
    )
    points = [Point(10, 1, 0.9, one) for one in figures]
    assert fastest(points) == Point(10, 1, 0.9, {QPS: 200, P50: 2, P99: 9, CPU: 3})


def test_the_spread_of_runs_is_a_share_of_their_median() -> None:
    runs = [_measured((0.95, speed)) for speed in (90.0, 100.0, 120.0)]
    assert spread(runs, 0.95) == pytest.approx(0.3)
    assert spread(runs, 0.99) is None
