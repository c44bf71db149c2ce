"""Points in time: as callers give them, and as they are stored, in microseconds since 1970."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from paradox.core.errors import InvalidArgument
from paradox.core.types import I64Vector

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_utc(value: Any) -> datetime | None:
    """Return one point in time as a datetime in UTC, or None where it is none (a NaT is none).

    Args:
        value: datetime (naive is taken as UTC), date (its midnight), pandas Timestamp or numpy
            datetime64; finer than a microsecond is cut off.

    Raises:
        TypeError: another type.
        ValueError: outside the years 1 to 9999.
    """
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()  # None for NaT, an int beyond datetime
        if value is None or isinstance(value, int):
            if value is None:
                return None
            raise ValueError("outside the years 1 to 9999")
    if not isinstance(value, date):
        raise TypeError(f"expected a timestamp; got {type(value).__name__}")
    if value != value:  # pandas NaT is a datetime
        return None
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime(warn=False)
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999 in UTC") from error
    return datetime.combine(utc.date(), utc.timetz())  # of a subclass, the plain type


def microseconds(value: datetime) -> int:
    """Return an aware datetime as microseconds since 1970."""
    return (value - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return microseconds since 1970 as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=value)


def as_microseconds(timestamps: Any, n: int) -> I64Vector:
    """Return when each of `n` records was made, in microseconds since 1970.

    Args:
        timestamps: one point in time for all, a sequence of one for each, or None for now.
        n: how many are wanted.

    Raises:
        InvalidArgument: not points in time, or not `n` of them; names the row.
    """
    if timestamps is None:
        return np.full(n, time.time_ns() // 1000, np.int64)
    if isinstance(timestamps, date | np.datetime64):
        return np.full(n, _one(timestamps, None), np.int64)
    if isinstance(timestamps, str | bytes) or not isinstance(timestamps, Iterable):
        raise InvalidArgument(
            f"timestamps: expected a datetime or one for each vector; got {timestamps!r:.80}"
        )
    values = [_one(value, row) for row, value in enumerate(timestamps)]
    if len(values) != n:
        raise InvalidArgument(f"timestamps: expected {n}, one for each vector; got {len(values)}")
    return np.array(values, np.int64)


def _one(value: Any, row: int | None) -> int:
    where = "timestamps" if row is None else f"timestamps: row {row}"
    try:
        moment = to_utc(value)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{where}: {error}") from error
    if moment is None:
        raise InvalidArgument(f"{where}: expected a timestamp; got NaT")
    return microseconds(moment)
