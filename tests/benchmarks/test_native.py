"""What `make peers` compiles is taken where it was compiled, and nowhere else."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from benchmarks import native, report
from benchmarks.own_process import in_own_process

VERSION = metadata.version("hnswlib")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds another hnswlib of the version installed, compiled on this processor."""
    (tmp_path / "hnswlib.py").write_text("")
    about = tmp_path / f"hnswlib-{VERSION}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: hnswlib\nVersion: {VERSION}\n")
    with pytest.raises(SystemExit) as ended:
        native.main(["--stamp"], tmp_path)
    assert ended.value.code == 0
    return tmp_path


def _taken_from(folder: Path) -> str:
    return str(native.imported("hnswlib", folder).__file__)


def _is_taken(folder: Path) -> bool:
    """Return whether a search takes it, having checked that the version says the same."""
    taken = in_own_process(_taken_from, folder) == str(folder / "hnswlib.py")
    assert native.version("hnswlib", folder) == (f"{VERSION} native" if taken else VERSION)
    with pytest.raises(SystemExit) as ended:
        native.main([], folder)
    assert ended.value.code == (0 if taken else 1)
    return taken


def test_what_was_compiled_here_is_taken(folder: Path) -> None:
    assert _is_taken(folder)


def test_what_was_compiled_on_another_processor_is_not(folder: Path) -> None:
    stamp = folder / native.STAMP
    stamp.write_text(stamp.read_text() + "avx1024")
    assert not _is_taken(folder)
    stamp.unlink()
    assert not _is_taken(folder)


def test_what_was_compiled_of_another_version_is_not(folder: Path) -> None:
    about = folder / f"hnswlib-{VERSION}.dist-info"
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hnswlib\nVersion: 0.1\n")
    about.rename(folder / "hnswlib-0.1.dist-info")
    assert not _is_taken(folder)


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert not _is_taken(tmp_path / "none")


def test_a_report_says_which_was_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "is_native", lambda library, folder: library == "hnswlib")
    assert report.machine(1)["hnswlib"] == f"{VERSION} native"
    assert report.machine(1)["numpy"] == metadata.version("numpy")


def test_a_processor_is_known_by_more_than_its_name() -> None:
    name, flags = native.processor().splitlines()
    assert name == native.cpu_model() != ""
    assert name not in flags
