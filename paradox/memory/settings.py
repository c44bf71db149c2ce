"""What an engine is made of, and the file beside its records that says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from paradox.core import config
from paradox.core.errors import CorruptionError, InvalidArgument
from paradox.core.files import write_atomically
from paradox.core.metric import Metric, check_metric
from paradox.core.vectors import check_dim, check_threads
from paradox.index.options import as_plain

FILE_NAME = "engine.json"
FORMAT = 1


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings an engine keeps for life.

    Attributes:
        dim: dimension of the vectors.
        metric: metric of the distances.
        index: name of the index backend.
        index_options: options of that backend.
        format: version of the folder's layout.
    """

    dim: int
    metric: Metric
    index: str
    index_options: dict[str, Any] = {}
    format: int = FORMAT


def make(
    dim: object, metric: str, index: str, index_options: dict[str, Any] | None
) -> EngineSettings:
    """Return checked settings.

    Raises:
        InvalidArgument: a dimension out of range, or an unknown metric.
    """
    return EngineSettings(
        dim=check_dim(dim),
        metric=check_metric(metric),
        index=index,
        index_options=as_plain(index_options),
    )


def threads_of(given: object) -> int:
    """Return how many threads a call uses: those given, or `PARADOX_THREADS` for None.

    Raises:
        InvalidArgument: not a number of threads.
    """
    return config.threads() if given is None else check_threads(given)


def read(folder: Path) -> EngineSettings | None:
    """Return the settings kept in `folder`, or None where no engine lives there.

    Raises:
        CorruptionError: the file does not hold what was written.
        InvalidArgument: a newer Paradox wrote it.
    """
    path = folder / FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        settings = msgspec.json.decode(data, type=EngineSettings)
    except msgspec.MsgspecError as error:
        raise CorruptionError(f"not an engine's settings: {error}", path) from error
    if settings.format > FORMAT:
        raise InvalidArgument(
            f"{path}: expected format {FORMAT} or older; got {settings.format}, "
            "written by a newer Paradox"
        )
    return settings


def write(folder: Path, settings: EngineSettings) -> None:
    """Keep `settings` in `folder`, durably and in one step."""
    encoded = msgspec.json.format(msgspec.json.encode(settings))
    write_atomically(folder / FILE_NAME, encoded)


def reconcile(kept: EngineSettings, asked: Mapping[str, Any], where: Path) -> EngineSettings:
    """Return `kept`, if it does not contradict what was asked for.

    Args:
        kept: settings of the engine there is.
        asked: setting to the value wanted, None where any will do.
        where: the engine's folder.

    Raises:
        InvalidArgument: they differ; names every such setting with both values.
    """
    differing = [
        f"{name}: it has {getattr(kept, name)!r}, asked for {value!r}"
        for name, value in asked.items()
        if value is not None and value != getattr(kept, name)
    ]
    if differing:
        raise InvalidArgument(f"{where} was created with other settings: {'; '.join(differing)}")
    return kept
