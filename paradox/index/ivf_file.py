"""Inverted lists as sections of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument
from paradox.core.types import I64Vector
from paradox.kernels.ivf import Ivf

_CENTRES = ("centres", "scales", "cells", "cell_centres", "cell_scales")
_DTYPES: dict[str, type[np.generic]] = {
    "centres": np.int16,
    "scales": np.float32,
    "cells": np.uint32,
    "cell_centres": np.int16,
    "cell_scales": np.float32,
    "sizes": np.int64,
    "units": np.float32,
    "blocks": np.uint8,
    "supplements": np.uint8,
    "origin": np.float32,
}


def dump(
    lists: Ivf, *, with_supplements: bool = True
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return fields and sections from which `restore` makes the lists again.

    Args:
        lists: trained.
        with_supplements: False where they are kept elsewhere.
    """
    n_lists, n_cells, n_blocks, n_places, block_bytes = lists.sizes()
    width = lists.row_bytes - _SUPPLEMENT_HEAD
    sections: dict[str, npt.NDArray[Any]] = {
        "centres": np.empty((n_lists, width), np.int16),
        "scales": np.empty(n_lists, np.float32),
        "cells": np.empty(n_lists, np.uint32),
        "cell_centres": np.empty((n_cells, width), np.int16),
        "cell_scales": np.empty(n_cells, np.float32),
        "sizes": np.zeros(n_lists, np.int64),
        "units": np.ones(n_lists, np.float32),
        "blocks": np.empty((n_blocks, block_bytes), np.uint8),
        "origin": np.array(lists.origin(), np.float32),
    }
    lists.save_centres(*(sections[name] for name in _CENTRES))
    supplements = None
    if with_supplements:
        sections["supplements"] = supplements = np.empty((n_places, lists.row_bytes), np.uint8)
    lists.save_lists(sections["sizes"], sections["units"], sections["blocks"], supplements)
    return lists.shape(), sections


def restore(
    lists: Ivf, fields: dict[str, Any], sections: dict[str, memoryview], ids: I64Vector
) -> None:
    """Make empty lists what was dumped; blocks and supplements are read where they are.

    Args:
        lists: of the same dimension and metric.
        fields: as `dump` returned them.
        sections: as `dump` returned them, with supplements.
        ids: (n_slots,) of the rows, whose slots are their numbers; `NO_ID` where there is none.

    Raises:
        InvalidArgument: these cannot be lists of such rows.
    """
    arrays = {name: np.frombuffer(sections[name], dtype) for name, dtype in _DTYPES.items()}
    if not lists.restore({**fields, **arrays}, ids):
        raise InvalidArgument("ivf: expected saved lists; got others")


_SUPPLEMENT_HEAD = 8  # bytes of a row beside its residual
