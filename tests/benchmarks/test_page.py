from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.page import page
from benchmarks.report import Report, read, row

ROWS = (
    row("set 4,000 × 32 at recall 0.95: graph", "QPS", 20_000, target=10_000),
    row("set 4,000 × 32 at recall 0.95: ", "QPS", 9_000, peer="hnswlib"),
    row("set 4,000 × 32 curve: effort 10, graph", "recall@10", 0.96),
    row("set 4,000 × 32 curve: effort 10, graph", "QPS", 20_000),
)
REPORT = Report(
    "index",
    {"cpu": "a", "isa": "avx2"},
    "abc",
    0,
    quick=False,
    started="2026-01-02T03",
    rows=ROWS,
    options="--data set",
)


def test_a_kept_report_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(REPORT.as_json())
    assert read(tmp_path / "index.json") == REPORT


def test_figures_stand_beside_their_peers() -> None:
    said = page([REPORT])
    assert "## `index`: set 4,000 × 32 (a, avx2, 2026-01-02)\n" in said
    assert "| case | by | QPS |\n| --- | --- | ---: |\n" in said
    assert "| graph | paradox | 20,000 ✓ ≥ 10,000 |\n|  | hnswlib | 9,000 |\n" in said
    assert "cpu a · isa avx2 · commit abc · --data set\n" in said


def test_a_curve_is_a_picture_and_no_table() -> None:
    said = page([REPORT])
    assert "![speed against recall: set 4,000 × 32](plots/set-4000-32.png)" in said
    assert "effort 10" not in said


def test_of_two_reports_of_a_set_the_last_has_the_picture() -> None:
    later = replace(REPORT, started="2026-01-03T04")
    said = page([REPORT, later])
    assert said.count("](plots/set-4000-32.png)") == 1
    assert said.index("2026-01-03") < said.index("](plots/set-4000-32.png)")
