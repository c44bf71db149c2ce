from __future__ import annotations

import numpy as np
import pytest

from paradox.core import vectors as v
from paradox.core.errors import (
    DimensionMismatch,
    InvalidArgument,
    NonFiniteVector,
    ZeroVector,
)


def test_every_input_dtype_becomes_contiguous_float32():
    values = np.array([[1.5, -2.0], [0.25, 3.0]])
    bfloat16 = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    for given in (
        values,
        values.astype(np.float32),
        values.astype(np.float16),
        bfloat16,
        values.tolist(),
        np.asfortranarray(values),
    ):
        matrix = v.as_matrix(given, 2)
        assert matrix.dtype == np.float32
        assert matrix.flags.c_contiguous
        np.testing.assert_array_equal(matrix, values)
    np.testing.assert_array_equal(v.as_matrix(np.array([[3, -4]], np.int8), 2), [[3, -4]])


@pytest.mark.parametrize("texts", [["a", ""], ["a", " \t\n"]])
def test_a_blank_text_is_refused_with_its_row(texts):
    with pytest.raises(InvalidArgument, match=r"expected a text; got .* in row 1"):
        v.check_not_blank(texts)
    v.check_not_blank(["a", " b "])


def test_a_list_of_python_integers_is_a_vector():
    np.testing.assert_array_equal(v.as_matrix([1, 0, 3], 3), [[1, 0, 3]])


def test_rows_in_a_list_are_taken_as_an_array_of_them_is():
    values = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    for given in (list(bits), tuple(bits), [list(row) for row in bits]):
        np.testing.assert_array_equal(v.as_matrix(given, 2), values)
    np.testing.assert_array_equal(v.as_matrix(list(bits[0]), 2), values[:1])
    np.testing.assert_array_equal(v.as_matrix([np.array([3, -4], np.int8)] * 2, 2), [[3, -4]] * 2)
    with pytest.raises(InvalidArgument, match="got int32"):
        v.as_matrix(list(np.ones((2, 3), np.int32)), 3)


@pytest.mark.parametrize(
    "other", [np.ones(2, np.float32), np.ones(2, np.int8), [1, 2], np.ones(2, np.uint8)]
)
def test_bits_of_bfloat16_among_other_rows_are_refused(other):
    with pytest.raises(InvalidArgument, match=r"one dtype; got .*uint16"):
        v.as_matrix([np.ones(2, np.uint16), other], 2)


def test_a_matrix_that_fits_is_not_copied():
    matrix = np.ones((3, 4), np.float32)
    assert v.as_matrix(matrix, 4) is matrix


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((2, 3), np.int64), "expected float32.*got int64"),
        (np.ones((2, 3), np.complex64), "got complex64"),
        (np.ones((2, 3), bool), "got bool"),
        ([["a", "b", "c"]], "got <U1"),
        ([[1.0, 2.0], [3.0]], "ragged"),
        (np.ones((2, 3, 4)), r"expected shape \(n, 3\)"),
        (np.float32(1.0), "expected shape"),
        (np.empty((0, 3), np.float32), "empty batch"),
        ([], "empty batch"),
    ],
)
def test_what_is_no_matrix_is_refused(given, message):
    with pytest.raises(InvalidArgument, match=message):
        v.as_matrix(given, 3)


def test_a_wrong_dimension_says_expected_and_got():
    with pytest.raises(DimensionMismatch, match="queries: expected dimension 3; got 4"):
        v.as_matrix(np.ones((2, 4)), 3, where="queries")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_non_finite_values_are_named_by_row(value):
    matrix = np.ones((4, 3))
    matrix[2, 1] = value
    with pytest.raises(NonFiniteVector, match="row 2, column 1"):
        v.as_matrix(matrix, 3)


def test_zero_vectors_have_no_direction():
    matrix = np.ones((4, 3), np.float32)
    v.check_directions(matrix)
    matrix[3] = 0
    with pytest.raises(ZeroVector, match="row 3"):
        v.check_directions(matrix)


def test_ids_keep_the_whole_of_int64():
    extremes = [np.iinfo(np.int64).min, -2, 0, np.iinfo(np.int64).max]
    assert v.as_ids(extremes, 4).tolist() == extremes
    assert v.as_ids(np.array([5], np.uint64)).tolist() == [5]
    assert v.as_ids(7).tolist() == [7]
    assert v.as_ids([np.uint64(2**62 + 1), -3]).tolist() == [2**62 + 1, -3]
    assert v.as_ids([]).shape == (0,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([-1], "expected int64 other than -1.*row 0"),
        ([2**63], "beyond|other than"),
        ([2**70], "beyond"),
        ([1, 2**63], "beyond"),
        (np.array([2**64 - 1], np.uint64), "row 0"),
        ([1.5], "expected integers; got float64"),
        ([True], "expected integers; got bool"),
        ([5, True], "expected integers; got bool"),
        ((np.True_, 5), "expected integers; got bool"),
        (["a"], "expected integers"),
        ([[1]], "one dimension"),
        ([1, 2, 3], "expected 2, one for each vector; got 3"),
    ],
)
def test_what_is_no_id_is_refused(given, message):
    with pytest.raises(InvalidArgument, match=message):
        v.as_ids(given, 2 if len(given) == 3 else None)


def test_last_of_each_keeps_the_last():
    assert v.last_of_each(np.array([7, 3, 7, 5, 3])).tolist() == [2, 3, 4]


@pytest.mark.parametrize("k", [0, -1, 10_001, 2.0, True, "5", None])
def test_k_out_of_range_is_refused(k):
    with pytest.raises(InvalidArgument, match="k: expected"):
        v.check_k(k)


@pytest.mark.parametrize("dim", [0, 65_537, 2.5, True, "8"])
def test_dim_out_of_range_is_refused(dim):
    with pytest.raises(InvalidArgument, match="dim: expected"):
        v.check_dim(dim)


@pytest.mark.parametrize("recall", [0, 1.01, "high", True])
def test_recall_out_of_range_is_refused(recall):
    with pytest.raises(InvalidArgument, match="recall: expected"):
        v.check_recall(recall)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "3", 2**20])
def test_threads_out_of_range_are_refused(threads):
    with pytest.raises(InvalidArgument, match="threads: expected"):
        v.check_threads(threads)


def test_a_tensor_that_numpy_cannot_hold_is_refused():
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(v.as_matrix(torch.ones(2, 3), 3), np.ones((2, 3)))
    for tensor in (torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(2, 3, requires_grad=True)):
        with pytest.raises(InvalidArgument, match="expected float32"):
            v.as_matrix(tensor, 3)
