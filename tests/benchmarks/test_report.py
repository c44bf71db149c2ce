from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import report
from benchmarks.report import Benchmark, Row, as_tables, row


def _measure(given: argparse.Namespace) -> Iterator[Row]:
    yield row("1,000 × 8", "recall@10", 0.97, target=0.95)
    yield row("1,000 × 8", "QPS", 1234.5 + given.extra)
    yield row("1,000 × 8", "QPS", 1000, peer="hnswlib")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--extra", type=int, default=0)


FAKE = Benchmark("fake", "", _measure, _options)


@pytest.fixture(autouse=True)
def _results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "docs" / "results")


def test_a_table_says_on_which_side_of_a_target_a_value_is_to_be() -> None:
    at_most = row("a: of", "wrong", 0, target=0, better="less")
    (table,) = as_tables([at_most, row("a: of", "recall", 0.9, target=0.95)])
    assert table.lines == (("of", "paradox", "0 ✓ ≤ 0", "0.9 ✗ ≥ 0.95"),)


def test_a_target_is_met_or_missed_in_its_own_direction() -> None:
    assert row("c", "recall", 0.95, target=0.95).holds is True
    assert row("c", "recall", 0.94, target=0.95).holds is False
    assert row("c", "p50", 90, target=100, better="less").holds is True
    assert row("c", "p50", 110, target=100, better="less").holds is False
    assert row("c", "p50", 110).holds is None


def test_figures_of_numpy_can_be_kept() -> None:
    found = row("c", "p99", np.float32(90), target=np.float64(100), better="less")
    json.dumps([found.value, found.target, found.holds])
    assert found.holds is True


def test_json_is_one_object_with_machine_commit_seed_and_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    FAKE.main(["--quick", "--json", "--seed", "3"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["seed"] == 3
    assert {"cpu", "isa", "cores", "threads"} <= printed["machine"].keys()
    assert isinstance(printed["commit"], str)
    assert printed["rows"][0] == {
        "case": "1,000 × 8",
        "figure": "recall@10",
        "value": 0.97,
        "peer": None,
        "target": 0.95,
        "holds": True,
        "better": "more",
    }


def test_the_table_has_a_line_for_each_contestant(capsys: pytest.CaptureFixture[str]) -> None:
    made = FAKE.main(["--quick", "--extra", "100000"])
    assert [r.value for r in made.rows] == [0.97, 101234.5, 1000.0]
    printed = capsys.readouterr().out
    assert "hnswlib" in printed
    assert "101,234" in printed


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_commit_is_dirty_by_its_sources_and_not_by_what_runs_write(tmp_path: Path) -> None:
    assert report.commit() == ""
    written = [tmp_path / "docs" / "results" / "fake.json", tmp_path / "docs" / "page.md"]
    source = tmp_path / "source.py"
    written[0].parent.mkdir(parents=True)
    for path in (*written, source):
        path.write_text("before")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "all")
    head = _git(tmp_path, "rev-parse", "--short", "HEAD")
    for path in written:
        path.write_text("after")
    assert report.commit() == head
    source.write_text("after")
    assert report.commit() == f"{head}-dirty"


def test_a_full_run_is_kept_and_a_quick_one_is_not(tmp_path: Path) -> None:
    FAKE.main(["--quick"])
    assert not report.RESULTS.exists()
    made = FAKE.main([])
    kept = json.loads((report.RESULTS / "fake.json").read_text())
    assert kept["rows"][1]["value"] == made.rows[1].value
    elsewhere = tmp_path / "elsewhere.json"
    FAKE.main(["--quick", "--output", str(elsewhere)])
    assert json.loads(elsewhere.read_text())["quick"] is True


def test_a_report_says_what_it_was_told_a_seed_of_0_too() -> None:
    benchmark = Benchmark("fake", "", lambda given: [])
    told = benchmark.run(benchmark.options(["--quick"])).options
    assert told == "--quick --seed 0 --threads 2"
