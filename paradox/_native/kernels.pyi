from typing import Any

import numpy as np
import numpy.typing as npt

def available() -> tuple[str, ...]: ...

class Kernels:
    def __init__(self, isa: str) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def query_limit(self) -> int: ...
    def distances(
        self,
        query: npt.NDArray[Any],
        rows: npt.NDArray[Any],
        metric: int,
        out: npt.NDArray[np.float32],
    ) -> None: ...
    def top_k(
        self,
        queries: npt.NDArray[Any],
        rows: npt.NDArray[Any],
        metric: int,
        k: int,
        allow: npt.NDArray[np.uint8] | None,
        threads: int,
        positions: npt.NDArray[np.int64],
        distances: npt.NDArray[np.float32],
    ) -> None: ...
    def certified_top_k(
        self,
        queries: npt.NDArray[Any],
        rows: npt.NDArray[Any],
        codes: npt.NDArray[Any],
        terms: npt.NDArray[np.float32],
        ids: npt.NDArray[np.int64],
        metric: int,
        k: int,
        allow: npt.NDArray[np.uint8] | None,
        threads: int,
        positions: npt.NDArray[np.int64],
        distances: npt.NDArray[np.float64],
        certified: npt.NDArray[np.uint8],
    ) -> None: ...
    def lower_bounds(
        self,
        queries: npt.NDArray[np.float32],
        codes: npt.NDArray[Any],
        terms: npt.NDArray[np.float32],
        metric: int,
        out: npt.NDArray[np.float64],
    ) -> None: ...

def encode(
    rows: npt.NDArray[Any],
    metric: int,
    codes: npt.NDArray[np.uint8] | None,
    terms: npt.NDArray[np.float32],
) -> None: ...
def refine(
    queries: npt.NDArray[Any],
    rows: npt.NDArray[Any],
    metric: int,
    positions: npt.NDArray[np.int64],
    out: npt.NDArray[np.float64],
) -> None: ...
def row_norms(rows: npt.NDArray[Any], out: npt.NDArray[np.float64]) -> None: ...
