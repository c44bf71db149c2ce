from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from paradox.core import files
from paradox.core.files import make_folder, remove_unfinished, sync_folders, write_atomically


def test_parts_are_written_in_order(tmp_path):
    parts = b"ab", np.array([[1], [2]], np.uint8), np.empty((0, 3)), memoryview(b"c")
    write_atomically(tmp_path / "f", *parts)
    assert (tmp_path / "f").read_bytes() == b"ab\x01\x02c"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "f"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, b"new", object())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_a_file_is_named_itself(tmp_path):
    for path, error in (
        (tmp_path, IsADirectoryError),
        (tmp_path / "none" / "f", FileNotFoundError),
    ):
        with pytest.raises(error) as caught:
            write_atomically(path, b"new")
        assert caught.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_a_writer_in_the_middle_of_another_s_write_disturbs_neither(tmp_path, monkeypatch):
    """As two threads do, or two containers, in each of which the process has the same number."""
    path = tmp_path / "f"
    write_all = files._write_all

    def half_way(file, parts):
        file.write(b"long ")
        file.flush()
        monkeypatch.undo()
        write_atomically(path, b"short")
        assert path.read_bytes() == b"short"
        write_all(file, parts)

    monkeypatch.setattr(files, "_write_all", half_way)
    write_atomically(path, b"and whole")
    assert path.read_bytes() == b"long and whole"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_replace_one_file_leave_a_whole_one(tmp_path):
    path = tmp_path / "f"
    contents = [bytes([number]) * 300_000 for number in range(3)]
    errors = []

    def write(content):
        try:
            for _ in range(8):
                write_atomically(path, content[:100_000], content[100_000:])
                assert path.read_bytes() in contents
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_taken_is_nobody_else_s_to_remove(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda n: "0")
    other = tmp_path / ".f.0.tmp"
    other.write_bytes(b"half")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "f", b"new")
    assert other.read_bytes() == b"half"


def test_what_the_dead_have_left_of_one_file_is_removed(tmp_path, monkeypatch):
    path = tmp_path / "f[1].json"

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", killed)
        patch.setattr("pathlib.Path.unlink", killed)
        with pytest.raises(Killed):
            write_atomically(path, b"new")
    assert len(list(tmp_path.iterdir())) == 1
    others = {tmp_path / name for name in ("f[1].json", ".f1.json.0.tmp", ".f[1].json")}
    for other in others:
        other.touch()
    remove_unfinished(path)
    assert set(tmp_path.iterdir()) == others


def test_new_folders_and_what_is_below_them_are_made_durable(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    make_folder(tmp_path / "a" / "b")
    assert set(synced) == {str(tmp_path), str(tmp_path / "a")}
    synced.clear()
    make_folder(tmp_path / "a" / "b")
    assert synced == []
    (tmp_path / "a" / "c").touch()
    sync_folders(tmp_path / "a")
    assert synced == [str(tmp_path / "a" / "b"), str(tmp_path / "a")]
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a" / "c")
