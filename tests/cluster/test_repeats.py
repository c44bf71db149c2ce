from __future__ import annotations

import numpy as np
import pytest

from paradox.cluster.pipeline import Piece
from paradox.cluster.repeats import marked, repeated
from paradox.cluster.sources import SourceFile


@pytest.mark.parametrize(
    ("ids", "rows"),
    [
        ([], []),
        ([[]], [[]]),
        ([[1, 2, 3]], [[]]),
        ([[7, 7, 7]], [[0, 1]]),
        ([[1, 2], [], [2, 3], [1]], [[0, 1], [], [], []]),
        ([[-5, 2**62, -5], [2**62]], [[0, 1], []]),
    ],
)
def test_all_but_the_last_row_of_an_id_come_again(ids, rows):
    found = repeated([np.array(of_a_file, np.int64) for of_a_file in ids])
    assert [of_a_file.tolist() for of_a_file in found] == rows


def test_of_many_random_ids_one_row_each_is_left(rng):
    ids = [rng.integers(0, 300, n) for n in (500, 1, 800)]
    last = {
        value: (n, row) for n, part in enumerate(ids) for row, value in enumerate(part.tolist())
    }
    again = repeated(ids)
    left = {(n, row) for n, part in enumerate(ids) for row in range(len(part))}
    left -= {(n, row) for n, part in enumerate(again) for row in part.tolist()}
    assert left == set(last.values())


def test_a_piece_knows_its_own_rows_only():
    piece = Piece(SourceFile("a.parquet", "parquet"), "key", None, (10, 20))
    assert marked(piece, np.array([3, 10, 15, 19, 20])).repeated.tolist() == [10, 15, 19]
