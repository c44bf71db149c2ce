from typing import Any

import numpy as np
import numpy.typing as npt

class Graph:
    isa: str
    def __init__(
        self,
        isa: str,
        dim: int,
        metric: int,
        degree: int,
        build_effort: int,
        seed: int,
        sketch: bool,
        compact: bool,
    ) -> None: ...
    def __len__(self) -> int: ...
    @property
    def n_connected(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def node_bytes(self) -> int: ...
    @property
    def is_outgrown(self) -> bool: ...
    def state(self) -> dict[str, Any]: ...
    def add(self, vectors: npt.NDArray[np.float32], threads: int) -> None: ...
    def is_bulk(self, n: int) -> bool: ...
    def copy(self) -> Graph: ...
    def remove(self, nodes: npt.NDArray[np.int64], seq: int) -> None: ...
    def bypass(self, seq: int, threads: int) -> bool: ...
    def use_rows(
        self,
        matrix: npt.NDArray[np.float32] | npt.NDArray[np.float16] | None,
        norms: npt.NDArray[np.float64] | None,
        ids: npt.NDArray[np.int64],
        slots: npt.NDArray[np.int32] | None,
        seq: int,
    ) -> GraphView: ...
    def begin_as(self, other: Graph) -> None: ...
    def decode(
        self, nodes: npt.NDArray[np.int64], out: npt.NDArray[np.float32], threads: int
    ) -> None: ...
    def save_nodes(self, out: npt.NDArray[np.uint8]) -> None: ...
    def restore(
        self, nodes: npt.NDArray[np.uint8], state: dict[str, Any], threads: int
    ) -> bool: ...

class GraphView:
    def search(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        effort: int,
        allowed: npt.NDArray[np.uint8] | None,
        n_allowed: int,
        threads: int,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], bool]: ...
