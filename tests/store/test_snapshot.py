"""Places a snapshot can be written to, and how those that refuse are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

from paradox.core.errors import InvalidArgument, StorageUnavailable
from paradox.store.snapshot import restore_snapshot, take_snapshot


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is to be copied."""
    made = tmp_path / "source"
    (made / "below").mkdir(parents=True)
    (made / "a").write_bytes(b"1")
    (made / "below" / "b").write_bytes(b"22")
    return made


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing about it."""

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a web server, and the folder it serves."""
    root = tmp_path / "served"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", root
    server.shutdown()
    thread.join()
    server.server_close()


class Forgetful(MemoryFileSystem):
    """Takes what is written and keeps nothing, as fsspec's git does."""

    protocol = "forgetful"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs: list[str] = [""]  # noqa: RUF012

    def exists(self, path: str, **kwargs: Any) -> bool:
        return False


class Broken(MemoryFileSystem):
    """Fails as its library does, with an error that is no OSError."""

    protocol = "broken"

    def exists(self, path: str, **kwargs: Any) -> bool:
        raise LookupError("no credentials")


fsspec.register_implementation("forgetful", Forgetful, clobber=True)
fsspec.register_implementation("broken", Broken, clobber=True)


def test_a_snapshot_comes_back(folder: Path, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/copy"
    assert [file.name for file in take_snapshot(folder, uri).files] == ["a", "below/b"]
    restore_snapshot(uri, tmp_path / "again")
    assert (tmp_path / "again" / "below" / "b").read_bytes() == b"22"
    with pytest.raises(InvalidArgument, match="there is one at"):
        take_snapshot(folder, uri)


def test_a_snapshot_is_on_disk_before_its_manifest_and_so_is_what_is_restored(
    folder: Path, tmp_path: Path, times_synced: Callable[[Path], list[int]]
) -> None:
    copy, again = tmp_path / "new" / "copy", tmp_path / "other" / "again"
    take_snapshot(folder, str(copy))
    [written] = times_synced(copy / "manifest.json")
    others = [copy / "a", copy / "below" / "b", copy / "below", copy, copy.parent, tmp_path]
    for path in others:
        assert min(times_synced(path)) < written, path
    assert max(times_synced(copy)) > written
    restore_snapshot(str(copy), again)
    for path in (again / "a", again / "below" / "b", again / "below", again, again.parent):
        assert times_synced(path), path
    assert max(times_synced(again.parent)) > max(times_synced(again))
    assert max(times_synced(tmp_path)) > written


def test_a_web_server_takes_no_snapshot_and_gives_one(
    folder: Path, served: tuple[str, Path], tmp_path: Path
) -> None:
    address, root = served
    with pytest.raises(
        InvalidArgument, match=r"expected a place that can be written to.*http://127.*only reads"
    ):
        take_snapshot(folder, f"{address}/copy")
    assert list(root.iterdir()) == []
    take_snapshot(folder, str(root / "copy"))
    restore_snapshot(f"{address}/copy", tmp_path / "again")
    assert (tmp_path / "again" / "a").read_bytes() == b"1"


def test_a_place_that_keeps_nothing_takes_no_snapshot(folder: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"forgetful://x.*Forgetful only reads"):
        take_snapshot(folder, "forgetful://x/copy")


def test_other_failures_of_a_place_are_told_as_its_refusal(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="broken://x/copy: LookupError: no credentials"):
        take_snapshot(folder, "broken://x/copy")
    with pytest.raises(StorageUnavailable, match="broken://x/copy"):
        restore_snapshot("broken://x/copy", tmp_path / "again")


def test_a_missing_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        known_implementations,
        "elsewhere",
        {"class": "not_installed.FileSystem", "err": "Install not_installed to reach it"},
    )
    with pytest.raises(InvalidArgument, match=r"expected a place fsspec knows.*not_installed"):
        take_snapshot(folder, "elsewhere://x/copy")
