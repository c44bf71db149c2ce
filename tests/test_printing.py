"""What is printed is what was given: no markup is read, and nothing steers the terminal."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import typer

from paradox import printing
from paradox.core.errors import (
    CorruptionError,
    InvalidArgument,
    ParadoxError,
    RecordCorrupt,
    ShardUnavailable,
)
from paradox.core.types import Neighbors, Record

MARKED = "list[str] [/path/to/file] [bold]x[/bold] \x1b[31m"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidArgument(f"expected {MARKED}"), 2),
        (ShardUnavailable(f"shard {MARKED}"), 3),
        (RecordCorrupt(f"record {MARKED}", "/data/[a]/file", 12, "run [/this]"), 4),
    ],
)
def test_errors_are_told_word_for_word(capsys, error, code):
    with pytest.raises(typer.Exit) as ended, printing.reporting(as_json=False):
        raise error
    assert ended.value.exit_code == code
    told = capsys.readouterr().err
    assert f"{type(error).__name__}: {printing.printable(str(error))}\n" == told
    assert "list[str] [/path/to/file] [bold]x[/bold]" in told
    assert "\x1b" not in told


def test_errors_are_one_json_object(capsys):
    with pytest.raises(typer.Exit), printing.reporting(as_json=True):
        raise CorruptionError(MARKED, "/data")
    assert json.loads(capsys.readouterr().out) == {
        "error": "CorruptionError",
        "message": f"{MARKED} [/data]",
    }


def test_ctrl_c_is_told_in_one_line(capsys):
    with pytest.raises(typer.Exit) as ended, printing.reporting(as_json=False):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err.startswith("stopping: ")


def test_of_a_warning_the_sentence_is_told(capsys):
    with warnings.catch_warnings(action="default"), printing.reporting(as_json=False):
        warnings.warn(f"no rows in {MARKED}", stacklevel=1)
    assert capsys.readouterr().err == f"no rows in {printing.printable(MARKED)}\n"


def test_what_is_no_terminal_gets_no_bar(capsys):
    with printing.progress("asking", as_json=False):
        pass
    assert capsys.readouterr().err == ""


def test_the_gravest_of_several_errors_decides(capsys):
    failed: dict[str, ParadoxError] = {
        "a": InvalidArgument("one [/a]"),
        "b": CorruptionError("two", "/b"),
        "c": ShardUnavailable("three"),
    }
    with pytest.raises(typer.Exit) as ended:
        printing.end_with(failed, as_json=False)
    assert ended.value.exit_code == 4
    assert len(capsys.readouterr().err.splitlines()) == 3
    printing.end_with({}, as_json=False)


def test_payloads_are_shown_as_they_are(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    payload = {"[/x]": MARKED, "tags": ["a[b]", "[/c]"], "long": "y" * 1_000}
    record = Record(7, np.zeros(2, np.float32), payload, "", 0, None, 1, 1)
    hits = Neighbors(
        np.array([7]),
        np.array([0.5], np.float32),
        shards_touched=2,
        shards_missing=(3,),
        coverage=0.75,
        _fetch=lambda ids: [record],
    )
    printing.print_hits(hits, n_shards=4)
    shown = capsys.readouterr().out
    assert "list[str] [/path/to/file] [bold]x[/bold] \N{REPLACEMENT CHARACTER}[31m" in shown
    assert "a[b], [/c]" in shown
    assert "y" * 299 not in shown.replace("\n", "")
    assert "3 of 4 shards asked; PARTIAL: 3 did not answer, 75% of the records covered" in shown


def test_nothing_found_is_said(capsys):
    ids, distances = np.array([-1]), np.array([np.inf], np.float32)
    nothing = Neighbors(ids, distances, shards_touched=4, _fetch=lambda ids: [])
    printing.print_hits(nothing, n_shards=4)
    assert capsys.readouterr().out == "nothing found\n4 of 4 shards asked\n"
