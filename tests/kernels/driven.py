"""Runs the kernels in a program of their own, `drive.cpp`, as another machine would."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from kernel_cases import Array

from paradox.core.metric import METRICS, Metric

_DTYPES = ("float32", "float16", "int8")
_OPERATIONS = ("distances", "top_k", "refine", "row_norms", "lower_bounds", "certified_top_k")


@dataclass(frozen=True)
class Case:
    """One call: the arguments of the function of `paradox.kernels` that `operation` names.

    Attributes:
        m: k of top_k and certified_top_k, whose ids count down.
        positions: of refine, (n_queries, m).
    """

    operation: str
    queries: Array
    rows: Array
    metric: Metric = "l2"
    m: int = 0
    threads: int = 1
    allow: Array | None = None
    positions: Array | None = None

    def encoded(self, offset: int = 1, gap: int = 3) -> bytes:
        """Return what the program reads, both matrices misaligned."""
        m = self.m if self.positions is None else self.positions.shape[1]
        header = [
            _OPERATIONS.index(self.operation),
            METRICS.index(self.metric),
            len(self.queries),
            *self.rows.shape,
            _DTYPES.index(self.queries.dtype.name),
            _DTYPES.index(self.rows.dtype.name),
            offset,
            gap,
            m,
            self.threads,
            self.allow is not None,
        ]
        parts = [np.array(header, "<i8").tobytes()]
        for matrix in (self.queries, self.rows):
            parts += [b"\xff" * offset, (b"\xff" * gap).join(row.tobytes() for row in matrix)]
        if self.allow is not None:
            parts.append(self.allow.tobytes())
        if self.positions is not None:
            parts.append(self.positions.astype("<i8").tobytes())
        return b"".join(parts)

    def result(self, output: bytes, at: int) -> tuple[Any, int]:
        """Return what the function would, from `output` at `at`, and where the next begins."""
        if self.operation == "top_k":
            shape = (len(self.queries), self.m)
            positions, at = _array(output, at, "<i8", shape)
            distances, at = _array(output, at, "<f4", shape)
            return (positions, distances), at
        if self.operation == "certified_top_k":
            shape = (len(self.queries), self.m)
            positions, at = _array(output, at, "<i8", shape)
            exact, at = _array(output, at, "<f8", shape)
            certified, at = _array(output, at, "<u1", shape[:1])
            return (positions, exact, certified.astype(np.bool_)), at
        if self.operation == "lower_bounds":
            return _array(output, at, "<f8", (len(self.queries), len(self.rows)))
        if self.positions is not None:
            return _array(output, at, "<f8", self.positions.shape)
        dtype = "<f4" if self.operation == "distances" else "<f8"
        return _array(output, at, dtype, (len(self.rows),))


def run(command: Sequence[str], cases: Sequence[Case]) -> list[Any]:
    """Return the results of all cases from one run of a built `drive.cpp`."""
    done = subprocess.run(
        command, input=b"".join(case.encoded() for case in cases), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    results, at = [], 0
    for case in cases:
        result, at = case.result(done.stdout, at)
        results.append(result)
    assert at == len(done.stdout)
    return results


def _array(output: bytes, at: int, dtype: str, shape: tuple[int, ...]) -> tuple[Array, int]:
    n = int(np.prod(shape))
    array = np.frombuffer(output, dtype, n, at).reshape(shape)
    return array, at + array.nbytes
