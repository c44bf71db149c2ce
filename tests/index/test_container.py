"""The file an index is kept in gives back what was written, or says where it is damaged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paradox.core.errors import IndexFileCorrupt
from paradox.index.container import read_container, read_kind, write_container

FIELDS = {"dim": 3, "metric": "l2", "options": {"M": 8, "names": ["a", "b"]}, "effort": None}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.pdx"


@settings(max_examples=40, deadline=None)
@given(sections=st.dictionaries(st.text(min_size=1, max_size=8), st.binary(max_size=300)))
@pytest.mark.parametrize("mmap", [False, True])
def test_everything_comes_back(tmp_path_factory, sections, mmap):
    path = tmp_path_factory.mktemp("container") / "some.pdx"
    write_container(path, "kind", FIELDS, sections)
    fields, found = read_container(path, "kind", mmap=mmap)
    assert fields == FIELDS
    assert {name: bytes(view) for name, view in found.items()} == sections
    assert read_kind(path) == "kind"


def test_sections_are_aligned_for_vector_loads(path):
    write_container(path, "kind", {}, {"a": b"x", "b": np.arange(5.0), "c": np.zeros((0, 3))})
    for mmap in (False, True):
        _, sections = read_container(path, mmap=mmap)
        assert np.frombuffer(sections["b"]).ctypes.data % 64 == 0 or not mmap
        assert np.frombuffer(sections["b"]).tolist() == [0, 1, 2, 3, 4]
        assert len(sections["c"]) == 0


def test_mapped_sections_cannot_be_written_to(path):
    write_container(path, "kind", {}, {"a": np.arange(5)})
    _, sections = read_container(path, mmap=True)
    assert sections["a"].readonly
    _, sections = read_container(path)
    assert not sections["a"].readonly


def test_every_single_flipped_bit_is_found(path):
    write_container(path, "kind", FIELDS, {"a": np.arange(7), "b": b"end"})
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(IndexFileCorrupt):
                read_container(path)


@pytest.mark.parametrize("mmap", [False, True])
def test_every_length_but_the_right_one_is_found(path, mmap):
    write_container(path, "kind", FIELDS, {"a": np.arange(7), "b": b"end"})
    whole = path.read_bytes()
    for length in [*range(len(whole)), len(whole) + 1, len(whole) + 64]:
        path.write_bytes((whole + bytes(64))[:length])
        with pytest.raises(IndexFileCorrupt) as raised:
            read_container(path, mmap=mmap)
        assert "some.pdx" in str(raised.value)


def test_a_damaged_section_is_named_with_its_place(path):
    write_container(path, "kind", FIELDS, {"a": np.arange(7), "b": b"end"})
    whole = bytearray(path.read_bytes())
    whole[-60] ^= 1
    path.write_bytes(whole)
    with pytest.raises(IndexFileCorrupt, match=r"section 'b' .*at byte \d+.*build the index"):
        read_container(path)


def test_another_format_says_so(path):
    write_container(path, "kind", {}, {})
    whole = bytearray(path.read_bytes())
    whole[8] = 9
    path.write_bytes(whole)
    with pytest.raises(IndexFileCorrupt, match=r"version 4; got 9.*another version"):
        read_container(path)


def test_another_kind_is_refused(path):
    write_container(path, "payload", {}, {})
    with pytest.raises(IndexFileCorrupt, match="kind 'hnsw'; got 'payload'"):
        read_container(path, "hnsw")


def test_a_failed_write_leaves_what_was_there(path, monkeypatch):
    write_container(path, "kind", {"n": 1}, {})

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_container(path, "kind", {"n": 2}, {"a": np.zeros(1000)})
    monkeypatch.undo()
    assert read_container(path)[0] == {"n": 1}
    assert [p.name for p in path.parent.iterdir()] == ["some.pdx"]
