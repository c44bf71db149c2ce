"""Values on their way between processes: a msgpack body, and the arrays it speaks of beside it.

A value is a dataclass, or whatever else msgspec knows, with arrays anywhere in it. Its arrays are
not copied: they are frames of their own, behind the body. What is read is checked against the type
that is expected, dtype and number of axes and size of every array too, before any of it is used.
"""

from __future__ import annotations

import inspect
import math
import struct
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias, get_args, get_origin

import msgspec
import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument

Frame: TypeAlias = bytes | memoryview

MAX_FRAMES = 64
_DTYPES = frozenset({"<f4", "<f8", "<i4", "<i8", "|b1", "|u1", "|i1", "<M8[us]"})
_COUNT = struct.Struct("<II")
_LENGTH = struct.Struct("<Q")
_ALIGNED = 8
_TOLD: Any = tuple[str, tuple[int, ...], int]
"""What stands in the body for an array: dtype, shape, and in which frame it is."""


class MalformedMessage(InvalidArgument):
    """Frames are not a value of the type that is expected."""


class _Codec(threading.local):
    """What one thread packs and unpacks with: msgspec's hooks are told nothing but the value."""

    def __init__(self) -> None:
        self._arrays: list[npt.NDArray[Any]] = []
        self._frames: Sequence[Frame] = ()
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._put_aside)
        self._decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}

    def pack(self, value: object) -> list[Frame]:
        self._arrays = []
        body = self._encoder.encode(value)
        frames: list[Frame] = [body]
        frames += map(_bytes_of, self._arrays)
        self._arrays = []
        return frames

    def unpack(self, frames: Sequence[Frame], kind: Any) -> Any:
        decoder = self._decoders.get(kind)
        if decoder is None:
            decoder = msgspec.msgpack.Decoder(kind, dec_hook=self._bring_back)
            self._decoders[kind] = decoder
        self._frames = frames
        try:
            return decoder.decode(frames[0])
        finally:
            self._frames = ()

    def _put_aside(self, value: object) -> tuple[str, tuple[int, ...], int] | None:
        if not isinstance(value, np.ndarray) or value.dtype.str not in _DTYPES:
            if inspect.isroutine(value):
                return None  # where an answer's records are stays with the process that has them
            raise NotImplementedError(f"a {type(value).__name__} cannot be sent")
        self._arrays.append(np.ascontiguousarray(value))
        return value.dtype.str, value.shape, len(self._arrays)

    def _bring_back(self, kind: Any, told: Any) -> npt.NDArray[Any]:
        dtype, shape, at = msgspec.convert(told, _TOLD)
        if dtype not in _DTYPES or not _is_of(dtype, kind):
            raise ValueError(f"an array of {dtype!r} came where {kind} is expected")
        if not 1 <= at < len(self._frames) or len(shape) > 2 or min(shape, default=0) < 0:
            raise ValueError(f"an array of shape {shape} in frame {at} of {len(self._frames)}")
        frame = self._frames[at]
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if len(frame) != size:
            raise ValueError(f"an array of {size} bytes in a frame of {len(frame)}")
        return np.frombuffer(frame, dtype).reshape(shape)


_CODEC = _Codec()


def pack(value: object) -> list[Frame]:
    """Return the frames of a value; those of arrays are views, so these must not change yet."""
    return _CODEC.pack(value)


def unpack(frames: Sequence[Frame], kind: Any) -> Any:
    """Return the value in frames; its arrays are read-only views of them.

    Args:
        frames: as `pack` made them, or anything.
        kind: type of the value.

    Raises:
        MalformedMessage: they are not a value of this type.
    """
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise MalformedMessage(f"message: expected 1 to {MAX_FRAMES} frames; got {len(frames)}")
    try:
        return _CODEC.unpack(frames, kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"message: {error}") from None


def joined(frames: Sequence[Frame]) -> bytes:
    """Return frames as one, each of them at a multiple of 8 bytes."""
    parts: list[Frame] = [_COUNT.pack(len(frames), 0)]
    parts += [_LENGTH.pack(len(frame)) for frame in frames]
    for frame in frames:
        parts += [frame, bytes(-len(frame) % _ALIGNED)]
    return b"".join(parts)


def split(data: Frame) -> list[memoryview]:
    """Return the frames that `joined` made one of, as views.

    Raises:
        MalformedMessage: `joined` did not make this.
    """
    try:
        n = _COUNT.unpack_from(data)[0]
        if not 1 <= n <= MAX_FRAMES:
            raise MalformedMessage(f"message: expected 1 to {MAX_FRAMES} frames; got {n}")
        lengths = struct.unpack_from(f"<{n}Q", data, _COUNT.size)
    except struct.error as error:
        raise MalformedMessage(f"message of {len(data)} bytes: {error}") from None
    frames, at = [], _COUNT.size + n * _LENGTH.size
    whole = memoryview(data)
    for length in lengths:
        frames.append(whole[at : at + length])
        at += length + -length % _ALIGNED
    if at != len(data):
        raise MalformedMessage(f"message: expected {at} bytes; got {len(data)}")
    return frames


def _bytes_of(array: npt.NDArray[Any]) -> Frame:
    """Return the bytes of a contiguous array, not copied."""
    if not array.size:
        return b""
    if array.dtype.kind == "M":
        array = array.view(np.int64)  # moments have no buffer
    return array.data.cast("B")


@lru_cache
def _is_of(dtype: str, kind: Any) -> bool:
    """Tell whether a type such as `F32Matrix` is one of arrays of this dtype.

    Raises:
        NotImplementedError: it is not a type of arrays at all.
    """
    if get_origin(kind) is not np.ndarray:
        raise NotImplementedError(f"{kind} cannot be received")
    scalar = get_args(get_args(kind)[1])[0]
    return bool(scalar is Any or np.issubdtype(np.dtype(dtype), scalar))
