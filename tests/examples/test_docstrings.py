from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from examples.data import docstrings

SOURCE = '''"""Tools
for dates.

More words.
"""
import does_not_exist

def parse_date(text: str, *, strict=False) -> None:
    """Parse a date from a string."""

async def fetch(): "Fetch it."

def _private(): "Hidden."

def undocumented(): ...

if True:
    class HTTPClient:
        """Talks HTTP."""
        def get2(self): "Get twice."
        class _Inner: "Hidden."
'''


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one small package, in the place of everything installed here."""
    files = {
        "dates/__init__.py": SOURCE,
        "dates/broken.py": 'def broken(:\n    "never read"',
        "dates/binary.py": "\0\0",
        "dates/_internal.py": '"Hidden."',
        "dates/tests/test_dates.py": '"Hidden."',
        "same.py": '"One."\ndef same(): "One."',
        "dates-1.0.dist-info/x.py": '"Hidden."',
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    folders = dict.fromkeys(("stdlib", "purelib", "platlib"), str(tmp_path))
    monkeypatch.setattr(docstrings.sysconfig, "get_paths", lambda: folders)
    return tmp_path


def test_public_documented_names_are_found_without_importing(root: Path) -> None:
    rows = docstrings.read(workers=1).to_pylist()
    assert [(row["name"], row["kind"]) for row in rows] == [
        ("dates", "module"),
        ("dates.HTTPClient", "class"),
        ("dates.HTTPClient.get2", "method"),
        ("dates.fetch", "function"),
        ("dates.parse_date", "function"),
        ("same", "module"),  # same.same says the same in the same words
    ]


def test_a_row_says_what_and_where(root: Path) -> None:
    rows = {row["name"]: row for row in docstrings.read(workers=1).to_pylist()}
    assert rows["dates"]["summary"] == "Tools for dates."
    assert rows["dates.parse_date"] == {
        "name": "dates.parse_date",
        "kind": "function",
        "package": "dates",
        "signature": "(text: str, *, strict=False)",
        "file": "dates/__init__.py",
        "line": 8,
        "summary": "Parse a date from a string.",
        "text": "dates parse date: Parse a date from a string.",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("json.encoder.JSONEncoder", "json encoder"),
        ("os.path.getmtime", "os path getmtime"),
        ("a.b2.readHTTPHeaders", "a b 2 read http headers"),
    ],
)
def test_names_become_words(name: str, expected: str) -> None:
    assert docstrings.words(name) == expected


def test_the_limit_holds_and_takes_the_same_rows_again(root: Path) -> None:
    first = docstrings.read(limit=3, workers=1)
    assert first.num_rows == 3
    assert docstrings.read(limit=3, workers=1).equals(first)
    assert docstrings.read(limit=0, workers=1).num_rows == 0


def test_processes_find_what_one_finds(root: Path) -> None:
    assert docstrings.read(workers=2).equals(docstrings.read(workers=1))


def test_the_program_writes_parquet_of_this_machine(tmp_path: Path) -> None:
    output = tmp_path / "docs.parquet"
    program = [sys.executable, "-m", "examples.data.docstrings", str(output), "--limit", "500"]
    subprocess.run(program, check=True, capture_output=True)
    table = pq.read_table(output)
    assert table.schema.names == docstrings.COLUMNS.names
    assert table.num_rows == 500
    assert all(json.loads(json.dumps(row))["text"] for row in table.to_pylist())
