"""Codes follow their rows through every change."""

from __future__ import annotations

import numpy as np
import pytest

from paradox import kernels
from paradox.index.exact import ExactIndex
from paradox.index.rows import Rows

DIM = 20


def check(rows: Rows) -> None:
    live = rows.live_slots()
    expected = kernels.encode(np.ascontiguousarray(rows.matrix[live]), "cosine")
    codes = rows.codes
    assert codes is not None
    assert len(codes.values) == codes.terms.shape[1] == rows.n_slots
    np.testing.assert_array_equal(codes.values[live], expected.values)
    np.testing.assert_array_equal(codes.terms[:, live], expected.terms)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_codes_are_those_of_the_rows_after_every_change(dtype):
    rng = np.random.default_rng(1)

    def draw(n: int) -> np.ndarray:
        return rng.integers(1, 9, (n, DIM)).astype(dtype)

    rows = Rows(DIM, dtype, coded_for="cosine")
    for n in (3, 1, 40, 200):
        rows.put(rng.permutation(1000)[:n], draw(n))
        check(rows)
    rows.remove(np.arange(0, 1000, 2))
    check(rows)
    rows.put(np.arange(700, 760), draw(60))  # into free slots, and over others
    check(rows)
    check(rows.compacted())
    sections = {name: memoryview(part.tobytes()) for name, part in rows.sections().items()}
    loaded = Rows.from_sections(sections, DIM, dtype, coded_for="cosine")
    check(loaded)
    loaded.put(np.arange(5), draw(5))
    check(loaded)
    rows.remove(np.arange(1000))
    assert rows.codes is not None
    assert len(rows.codes.values) == 0


def test_codes_are_kept_where_they_pay_or_as_asked(tmp_path):
    vectors = np.random.default_rng(2).standard_normal((700, 64)).astype(np.float32)
    sizes = {}
    for codes in (None, True, False):
        index = ExactIndex(64, "l2", codes=codes)
        index.add(np.arange(700), vectors)
        sizes[codes] = index.stats().resident_bytes
        index.save(tmp_path / "index")
        assert ExactIndex.load(tmp_path / "index").stats().resident_bytes == sizes[codes]
    assert sizes[None] == sizes[True] == sizes[False] + 700 * (64 + 16)
    narrow = ExactIndex(48, "l2")
    narrow.add(np.arange(700), vectors[:, :48])
    assert narrow.stats().resident_bytes == sizes[False] - 700 * 16 * 4
