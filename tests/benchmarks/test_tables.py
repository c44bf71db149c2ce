"""Rows, goals and pictures of what `benchmarks.index` finds, from figures made up."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import goals, plots, tables
from benchmarks.curve import P50, P99, QPS, Kept, Measured, Point
from benchmarks.report import Report, Row

TITLE = "text-minilm-384 200,000 × 384 cosine k=10"


def _flat(
    speed: float, *, recall: float = 1.0, build_s: float = 1.0, size: float = 1.0
) -> Measured:
    """Return a contestant that has one speed at every recall it reaches."""
    figures = {QPS: speed, P50: 1e6 / speed, P99: 2e6 / speed}
    return Measured(build_s, size, (Point(10, 1, recall, figures),))


def _times(found: dict[str, Measured], title: str = TITLE) -> dict[str, Row]:
    return {row.case.rpartition(": ")[2]: row for row in goals.rows(title, found)}


def test_the_graph_is_held_against_the_best_peer() -> None:
    found = {"graph": _flat(130), "hnswlib": _flat(10), "symphonyqg": _flat(100)}
    rows = _times(found)
    at = rows["QPS at 0.95, graph ÷ symphonyqg, the best of 2 peers"]
    assert (at.value, at.target, at.holds) == (pytest.approx(1.3), 1.25, True)
    assert rows["QPS at 0.99, graph ÷ symphonyqg, the best of 2 peers"].target == 1.1


def test_other_sets_have_the_lower_goal() -> None:
    found = {"graph": _flat(105), "hnswlib": _flat(100)}
    rows = _times(found, "glove-50 399,000 × 50 cosine k=10")
    at = rows["QPS at 0.95, graph ÷ hnswlib, the only peer"]
    assert (at.target, at.holds) == (1.1, False)
    assert not any("bytes" in case or "0.997" in case for case in rows)


def test_a_peer_that_does_not_reach_a_recall_is_not_the_best_at_it() -> None:
    found = {"graph": _flat(50), "hnswlib": _flat(40), "symphonyqg": _flat(900, recall=0.97)}
    rows = _times(found)
    assert "QPS at 0.95, graph ÷ symphonyqg, the best of 2 peers" in rows
    assert "QPS at 0.99, graph ÷ hnswlib, the best of 2 peers" in rows


def test_a_graph_that_does_not_reach_a_recall_misses_its_goal() -> None:
    rows = _times({"graph": _flat(900, recall=0.9), "hnswlib": _flat(1)})
    at = rows["QPS at 0.95, graph ÷ hnswlib, the only peer"]
    assert (at.value, at.holds) == (0.0, False)


def test_builds_and_bytes_are_held_against_their_peers() -> None:
    rows = _times(
        {
            "graph": _flat(1, build_s=10, size=4000),
            "graph-none": _flat(1, build_s=10, size=2000),
            "hnswlib": _flat(1, build_s=60),
            "symphonyqg": _flat(1, build_s=20, size=3494),
            "symphonyqg-8bit": _flat(1, build_s=20, size=1000),
        }
    )
    assert rows["build, hnswlib ÷ graph"].holds is True
    assert (rows["build, symphonyqg ÷ graph"].value, rows["build, symphonyqg ÷ graph"].holds) == (
        2.0,
        False,
    )
    assert rows["bytes, symphonyqg ÷ graph-none"].value == pytest.approx(1.747)
    assert rows["bytes, symphonyqg ÷ graph-none"].holds is True
    alike = rows["bytes, symphonyqg-8bit ÷ graph-none"]
    assert (alike.value, alike.target) == (0.5, None)


def test_the_compact_form_is_held_against_svs_where_that_runs() -> None:
    assert not _times({"graph-none-compact": _flat(100, size=800)})
    rows = _times({"graph-none-compact": _flat(100, size=800), "svs-lvq4x8": _flat(50, size=810)})
    assert rows["bytes, svs-lvq4x8 ÷ graph-none-compact"].holds is True
    assert rows["QPS at 0.95, graph-none-compact ÷ svs-lvq4x8"].value == 2.0


def test_lists_are_held_against_their_goals_at_ten_million_vectors() -> None:
    found = {
        "ivf-mapped": _flat(2_000, build_s=80, size=41),
        "faiss-ivfpq": _flat(900, recall=0.99),
    }
    title = "manifold-128 {} × 128 l2 k=10"
    rows = _times(found, title.format("10,000,000"))
    assert {case: (row.value, row.holds) for case, row in rows.items()} == {
        "build, ivf-mapped": (125_000, True),
        "memory, ivf-mapped": (41, False),
        "at recall 0.95, ivf-mapped": (500, True),
        "QPS at 0.95, ivf-mapped ÷ faiss-ivfpq, the only faiss peer": (
            pytest.approx(2.22, abs=0.01),
            True,
        ),
    }
    assert not _times(found, title.format("1,000,000"))
    found |= {"faiss-ivfpq-hnsw": _flat(1_250), "faiss-ivfrabitq": _flat(9_000)}
    [of_both] = (
        row for case, row in _times(found, title.format("10,000,000")).items() if "÷" in case
    )
    assert of_both.case.endswith("÷ faiss-ivfpq-hnsw, the best of 2 faiss peers")
    assert (of_both.value, of_both.holds) == (1.6, False)


def test_at_a_high_recall_the_best_of_ours_counts() -> None:
    found = {"exact": _flat(50), "hnsw": _flat(10), "hnswlib": _flat(10), "turbovec": _flat(40)}
    rows = _times(found)
    assert rows["QPS, at 0.997, exact ÷ hnswlib"].holds is True
    assert rows["QPS, at 0.997, exact ÷ turbovec"].holds is False


def test_nothing_measured_has_no_goals() -> None:
    assert _times({}) == {}
    assert _times({"graph": _flat(1)}) == {}


FOUND = {
    "hnsw": Measured(
        2.0,
        100.0,
        (
            Point(10, 1, 0.85, {QPS: 400, P50: 1, P99: 2}),
            Point(20, 1, 0.96, {QPS: 100, P50: 4, P99: 8}),
        ),
        (Kept(0.95, 0.94, 18, {QPS: 120, P50: 3, P99: 6}),),
    ),
    "scann": Measured(1.0, 90.0, (Point(4, 10, 0.93, {QPS: 70, P50: 9, P99: 9}),)),
}


def _rows() -> list[Row]:
    return [
        *tables.rows(TITLE, FOUND, recalls=(0.9, 0.95), k=10),
        *tables.skipped(TITLE, {"svs-f16": "svs is not installed", "vsag": "Oops: it: died"}),
    ]


def test_each_contestant_has_its_speed_at_each_recall_it_reaches() -> None:
    rows = {(r.case.removeprefix(TITLE), r.peer, r.figure): r.value for r in _rows()}
    assert rows[" at recall 0.9: hnsw", None, QPS] == pytest.approx(400 * 0.25 ** (5 / 11))
    assert rows[" at recall 0.9: ", "scann", QPS] == 70
    assert (" at recall 0.95: ", "scann", QPS) not in rows
    assert rows[" once built: ", "scann", "best recall@10"] == 0.93
    assert rows[" once built: hnsw", None, "build s"] == 2.0


def test_a_recall_asked_for_is_a_goal() -> None:
    [reached] = [r for r in _rows() if r.target is not None]
    assert reached.case.endswith("asked for a recall: of 0.95, hnsw")
    assert (reached.value, reached.target, reached.holds) == (0.94, 0.95, False)


def test_who_is_left_out_is_in_the_table_with_the_reason() -> None:
    printed = io.StringIO()
    report = Report("index", {}, "", 0, True, "", tuple(_rows()))
    report.print(Console(file=printed, width=200))
    assert "svs is not installed" in printed.getvalue()
    assert "Oops, it, died" in printed.getvalue()
    assert "effort 20" not in printed.getvalue()


def test_curves_come_back_from_the_rows() -> None:
    assert plots.curves(_rows()) == {
        TITLE: {"hnsw": [(0.85, 400), (0.96, 100)], "scann": [(0.93, 70)]}
    }


def test_a_picture_is_drawn_for_each_set(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    [path] = plots.draw(_rows(), tmp_path / "plots")
    assert path.name == "text-minilm-384-200000-384-cosine-k-10.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_are_no_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert plots.draw(_rows(), tmp_path) == []
