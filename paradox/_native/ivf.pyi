from typing import Any

import numpy as np
import numpy.typing as npt

class Ivf:
    isa: str
    def __init__(self, isa: str, dim: int, metric: int, seed: int) -> None: ...
    def __len__(self) -> int: ...
    @property
    def n_removed(self) -> int: ...
    @property
    def n_lists(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def row_bytes(self) -> int: ...
    def shape(self) -> dict[str, Any]: ...
    def origin(self) -> list[float]: ...
    def sizes(self) -> tuple[int, int, int, int, int]: ...
    def train(
        self, sample: npt.NDArray[np.float32], n: int, n_lists: int, threads: int
    ) -> None: ...
    def add(
        self, vectors: npt.NDArray[np.float32], numbers: npt.NDArray[np.int64], threads: int
    ) -> None: ...
    def add_apart(
        self,
        vectors: npt.NDArray[np.float32],
        numbers: npt.NDArray[np.int64],
        threads: int,
        lists: npt.NDArray[np.uint32],
        supplements: npt.NDArray[np.uint8],
    ) -> None: ...
    def remove(self, numbers: npt.NDArray[np.int64]) -> None: ...
    def holds(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]: ...
    def merge(self, n_wanted: int, threads: int) -> None: ...
    def use_rows(self, matrix: npt.NDArray[Any] | None, ids: npt.NDArray[np.int64]) -> None: ...
    def search(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        effort: int,
        allowed: npt.NDArray[np.uint8] | None,
        n_allowed: int,
        threads: int,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], bool]: ...
    def save_centres(
        self,
        centres: npt.NDArray[np.int16],
        scales: npt.NDArray[np.float32],
        cells: npt.NDArray[np.uint32],
        cell_centres: npt.NDArray[np.int16],
        cell_scales: npt.NDArray[np.float32],
    ) -> None: ...
    def save_lists(
        self,
        sizes: npt.NDArray[np.int64],
        units: npt.NDArray[np.float32],
        blocks: npt.NDArray[np.uint8],
        supplements: npt.NDArray[np.uint8] | None,
    ) -> None: ...
    def restore(self, saved: dict[str, Any], ids: npt.NDArray[np.int64]) -> bool: ...

class Kernels:
    def __init__(self, isa: str) -> None: ...
    def dots_1xn(
        self,
        row: npt.NDArray[np.int16],
        others: npt.NDArray[np.int16],
        out: npt.NDArray[np.int32],
    ) -> None: ...
    def distances(
        self,
        scale: float,
        square: float,
        scales: npt.NDArray[np.float32],
        squares: npt.NDArray[np.float32],
        dots: npt.NDArray[np.int32],
        out: npt.NDArray[np.float32],
    ) -> int: ...
    def add_scaled(
        self, row: npt.NDArray[np.int16], scale: float, sums: npt.NDArray[np.float64]
    ) -> None: ...
    def residual(
        self,
        values: npt.NDArray[np.float32],
        centre: npt.NDArray[np.int16],
        scale: float,
        out: npt.NDArray[np.float32],
        signs: npt.NDArray[np.uint8],
    ) -> tuple[float, float, float, float]: ...
    def to_int8(
        self, values: npt.NDArray[np.float32], scale: float, out: npt.NDArray[np.int8]
    ) -> None: ...
