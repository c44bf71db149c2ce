"""Runs that were interrupted and go on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.in_turn import in_turn
from benchmarks.journal import Journal, OtherRun, RunKey
from benchmarks.report import Benchmark, Row, row

NAMES = ("numpy", "faiss-flat", "hnswlib")
RUN = RunKey("{}", "abc", "a processor")


class Interrupted(BaseException):
    """As Ctrl-C is."""


class Measuring:
    """A benchmark of which one contestant is interrupted once."""

    def __init__(self, interrupted_at: str) -> None:
        self.interrupted_at: str | None = interrupted_at
        self.measured: list[str] = []
        self.benchmark = Benchmark("fake", "", self._measure)

    def _measure(self, given: argparse.Namespace) -> Iterator[Row]:
        found, _ = in_turn(NAMES, "a set", self._measure_one, given.journal)
        for by, n_before in found.items():
            yield row("a set", "measured before it", n_before, peer=by)

    def _measure_one(self, by: str) -> int:
        if by == self.interrupted_at:
            self.interrupted_at = None
            raise Interrupted
        self.measured.append(by)
        return len(self.measured) - 1


@pytest.fixture(autouse=True)
def _one_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "commit", lambda: "abc")


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    output = tmp_path / "found.json"
    measuring = Measuring("hnswlib")
    with pytest.raises(Interrupted):
        measuring.benchmark.main(["--output", str(output)])
    assert not output.exists()
    found = measuring.benchmark.main(["--output", str(output), "--resume"])
    assert measuring.measured == list(NAMES)
    assert [r.value for r in found.rows] == [0, 1, 2]
    assert report.read(output) == found
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]


def test_without_resume_all_is_measured_anew(tmp_path: Path) -> None:
    measuring = Measuring("hnswlib")
    arguments = ["--output", str(tmp_path / "found.json")]
    with pytest.raises(Interrupted):
        measuring.benchmark.main(arguments)
    measuring.benchmark.main(arguments)
    assert measuring.measured == [*NAMES[:2], *NAMES]


def test_a_run_of_other_options_is_not_resumed(tmp_path: Path) -> None:
    measuring = Measuring("hnswlib")
    arguments = ["--output", str(tmp_path / "found.json")]
    with pytest.raises(Interrupted):
        measuring.benchmark.main(arguments)
    with pytest.raises(SystemExit, match=r'expected .*"seed": 1.*got .*"seed": 0'):
        measuring.benchmark.main([*arguments, "--resume", "--seed", "1"])
    measuring.benchmark.main([*arguments, "--resume"])
    assert measuring.measured == list(NAMES)


def test_a_part_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "run.partial"
    journal = Journal(path, RUN, "2026-11-27", resume=False)
    journal.keep("first", [1.0])
    whole = path.stat().st_size
    journal.keep("second", [2.0])
    for size in range(whole, path.stat().st_size):
        cut = tmp_path / f"{size}.partial"
        cut.write_bytes(path.read_bytes()[:size])
        resumed = Journal(cut, RUN, "2026-11-28", resume=True)
        assert (resumed["first"], "second" in resumed) == ([1.0], False)
        assert resumed.started == "2026-11-27"
        resumed.keep("second", [3.0])
        assert Journal(cut, RUN, "", resume=True)["second"] == [3.0]
    with pytest.raises(OtherRun, match="another"):
        Journal(path, RunKey("{}", "another", "a processor"), "", resume=True)
    assert Journal(path, RUN, "", resume=True)["second"] == [2.0]
