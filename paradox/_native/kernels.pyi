from typing import Any

import numpy as np
import numpy.typing as npt

def available() -> tuple[str, ...]: ...

class Kernels:
    def __init__(self, isa: str) -> None: ...
    @property
    def isa(self) -> str: ...
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

def refine(
    queries: npt.NDArray[Any],
    rows: npt.NDArray[Any],
    metric: int,
    positions: npt.NDArray[np.int64],
    out: npt.NDArray[np.float64],
) -> None: ...
def row_norms(rows: npt.NDArray[Any], out: npt.NDArray[np.float64]) -> None: ...
