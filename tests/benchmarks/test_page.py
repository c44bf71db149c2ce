from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.page import page
from benchmarks.report import Report, read, row

ROWS = (
    row("set at recall 0.95: graph", "QPS", 20_000, target=10_000),
    row("set at recall 0.95: ", "QPS", 9_000, peer="hnswlib"),
    row("set curve: effort 10, graph", "recall@10", 0.96),
    row("set curve: effort 10, graph", "QPS", 20_000),
)
REPORT = Report(
    "index", {"cpu": "a", "cores": 2}, "abc", 0, quick=False, started="2026-01-02T03", rows=ROWS
)


def test_a_kept_report_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(REPORT.as_json())
    assert read(tmp_path / "index.json") == REPORT


def test_figures_stand_beside_their_peers() -> None:
    said = page([REPORT])
    assert "## `benchmarks.index`, 2026-01-02\n" in said
    assert "| case | by | QPS |\n| --- | --- | ---: |\n" in said
    assert "| graph | paradox | 20,000 ✓ 10000 |\n|  | hnswlib | 9,000 |\n" in said
    assert "cpu a · cores 2 · commit abc · seed 0\n" in said


def test_a_curve_is_a_picture_and_no_table() -> None:
    said = page([REPORT])
    assert "![speed against recall: set](plots/set.png)" in said
    assert "effort 10" not in said


def test_of_two_reports_of_a_set_the_last_has_the_picture() -> None:
    later = replace(REPORT, started="2026-01-03T04")
    said = page([REPORT, later])
    assert said.count("](plots/set.png)") == 1
    assert said.index("2026-01-03") < said.index("](plots/set.png)")
