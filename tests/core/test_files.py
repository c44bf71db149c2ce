from __future__ import annotations

import numpy as np
import pytest

from paradox.core.files import write_atomically


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
