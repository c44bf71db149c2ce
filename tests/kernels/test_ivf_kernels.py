"""The kernels of inverted lists: every level has the bits of the scalar one, and those the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from paradox._native.ivf import Kernels
from paradox.kernels import available

DIMS = [32, 64, 96, 128, 384, 1056, 3072]
VALUES = ("normal", "huge", "tiny", "zero", "negative zero")


def values(kind: str, n: int, seed: int = 0) -> Any:
    drawn = np.random.default_rng(seed).normal(size=n).astype(np.float32)
    return {
        "normal": drawn,
        "huge": drawn * np.float32(1e15),
        "tiny": drawn * np.float32(1e-38),
        "zero": np.zeros(n, np.float32),
        "negative zero": np.full(n, -0.0, np.float32),
    }[kind]


def unaligned(array: Any) -> Any:
    """Return a copy that begins one value past an aligned place."""
    room = np.empty(len(array) + 1, array.dtype)
    room[1:] = array
    return room[1:]


def residual(isa: str, vector: Any, centre: Any, scale: float) -> tuple[Any, Any, Any]:
    out, signs = np.empty_like(vector), np.empty(len(vector) // 8, np.uint8)
    sums = Kernels(isa).residual(unaligned(vector), unaligned(centre), scale, out, signs)
    return np.array(sums, np.float32), out, signs


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_dot_products_are_whole_and_exact(isa: str, dim: int, n: int) -> None:
    rng = np.random.default_rng(dim)
    most = int(min(4095, np.sqrt(2147483000 / dim)))
    rows = rng.integers(-most, most + 1, size=(n + 1, dim)).astype(np.int16)
    rows[0], rows[1] = most, -most  # the greatest sum there can be
    out = np.empty(n, np.int32)
    Kernels(isa).dots_1xn(unaligned(rows[0]), rows[1:], out)
    np.testing.assert_array_equal(out, rows[1:].astype(np.int64) @ rows[0].astype(np.int64))


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("n", [1, 3, 4, 8, 9, 16, 17, 77])
def test_distances_are_what_float64_says_and_the_least_is_the_first_of_equals(
    isa: str, n: int
) -> None:
    rng = np.random.default_rng(n)
    points = rng.integers(-4095, 4096, size=(n + 1, 32)).astype(np.int16)
    points[1 + n // 2] = points[n]
    scales = rng.uniform(0.001, 0.002, size=n + 1).astype(np.float32)
    scales[1 + n // 2] = scales[n]
    rows = points * scales[:, None].astype(np.float64)
    squares = (rows**2).sum(axis=1).astype(np.float32)
    dots = points[1:].astype(np.int32) @ points[0].astype(np.int32)
    out = np.empty(n, np.float32)
    norms = unaligned(scales[1:]), unaligned(squares[1:])
    least = Kernels(isa).distances(scales[0], squares[0], *norms, unaligned(dots), out)
    true = ((rows[1:] - rows[0]) ** 2).sum(axis=1)
    np.testing.assert_allclose(out, true, rtol=1e-4, atol=1e-4 * squares.max())
    assert least == np.argmin(out)


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("n", [1, 5, 16, 33])
def test_no_distance_is_below_zero(isa: str, n: int) -> None:
    ones, out = np.ones(n, np.float32), np.empty(n, np.float32)
    assert Kernels(isa).distances(1.0, 1.0, ones, ones, np.full(n, 2, np.int32), out) == 0
    np.testing.assert_array_equal(out, np.zeros(n))


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("dim", DIMS)
def test_sums_of_rows_are_those_of_float64(isa: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    sums, scale = rng.normal(size=dim), 1 / 3
    row = rng.integers(-32768, 32768, size=dim).astype(np.int16)
    expected = sums + scale * row.astype(np.float64)
    Kernels(isa).add_scaled(unaligned(row), scale, sums)
    np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("kind", VALUES)
def test_a_residual_has_the_bits_of_the_scalar_level(isa: str, dim: int, kind: str) -> None:
    vector = values(kind, dim)
    centre = np.random.default_rng(1).integers(-4000, 4000, size=dim).astype(np.int16)
    for scale in (0.0, 1e-3, 7.0):
        expected = residual("scalar", vector, centre, scale)
        for got, want in zip(residual(isa, vector, centre, scale), expected, strict=True):
            np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8))


@pytest.mark.parametrize("dim", DIMS)
def test_a_residual_is_what_float64_says(dim: int) -> None:
    vector = values("normal", dim)
    centre = np.random.default_rng(1).integers(-4000, 4000, size=dim).astype(np.int16)
    sums, out, signs = residual("scalar", vector, centre, 5e-4)
    kept = 5e-4 * centre.astype(np.float64)
    true = vector - kept
    np.testing.assert_allclose(out, true, atol=1e-6)
    positive = np.unpackbits(signs, bitorder="little").astype(bool)
    np.testing.assert_array_equal(positive, out >= 0)
    by_sign = np.where(positive, kept, -kept).sum()
    wanted = [np.abs(true).sum(), (true**2).sum(), by_sign, np.abs(true).max()]
    np.testing.assert_allclose(sums, wanted, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("isa", available())
@pytest.mark.parametrize("dim", DIMS)
def test_rounding_is_to_the_nearest_and_ties_go_to_even(isa: str, dim: int) -> None:
    halves = np.random.default_rng(dim).integers(-254, 255, size=dim).astype(np.float32)
    out = np.empty(dim, np.int8)
    Kernels(isa).to_int8(unaligned(halves), 0.5, out)
    np.testing.assert_array_equal(out, np.rint(halves / 2))
