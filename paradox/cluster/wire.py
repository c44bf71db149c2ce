"""Values on their way between processes: a msgpack body, and the arrays it speaks of beside it.

A value is a dataclass, or whatever else msgspec knows, with arrays anywhere in it. Its arrays are
not copied: they are frames of their own, behind the body. What is read is checked against the type
that is expected, dtype and number of axes and size of every array too, before any of it is used.
"""

from __future__ import annotations

import inspect
import struct
import threading
from collections.abc import Sequence
from typing import Any, TypeAlias, get_args, get_origin

import msgspec
import numpy as np
import numpy.typing as npt

from paradox.core.errors import InvalidArgument

Frame: TypeAlias = bytes | memoryview

MAX_FRAMES = 64
_DTYPES = frozenset({"<f4", "<f8", "<i4", "<i8", "|b1", "|u1", "|i1", "<M8[us]"})
_COUNT = struct.Struct("<II")
_LENGTHS = tuple(struct.Struct(f"<{n}Q") for n in range(MAX_FRAMES + 1))
_PADDING = tuple(bytes(n) for n in range(8))
_COPIED = 4096
"""Bytes of an array up to which a copy takes less than a view."""


class MalformedMessage(InvalidArgument):
    """Frames are not a value of the type that is expected."""


class _Codec(threading.local):
    """What one thread packs and unpacks with: msgspec's hooks are told nothing but the value."""

    def __init__(self) -> None:
        self._arrays: list[npt.NDArray[Any]] = []
        self._frames: Sequence[Frame] = ()
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._put_aside)
        self._decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
        self._array_types: dict[int, tuple[Any, dict[str, np.dtype[Any]]]] = {}  # by id

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
        """Return what stands in the body for an array: dtype, shape, and in which frame it is."""
        if not isinstance(value, np.ndarray) or value.dtype.str not in _DTYPES:
            if inspect.isroutine(value):
                return None  # where an answer's records are stays with the process that has them
            raise NotImplementedError(f"a {type(value).__name__} cannot be sent")
        self._arrays.append(np.ascontiguousarray(value))
        return value.dtype.str, value.shape, len(self._arrays)

    def _bring_back(self, kind: Any, told: Any) -> npt.NDArray[Any]:
        """Return the array that `_put_aside` told of, as far as anybody can have."""
        if id(kind) not in self._array_types:
            self._array_types[id(kind)] = kind, _dtypes_of(kind)
        name, shape, at = told if type(told) is list and len(told) == 3 else (None, None, None)
        dtype = self._array_types[id(kind)][1].get(name) if type(name) is str else None
        if dtype is None:
            raise ValueError(f"an array of {name!r} came where {kind} is expected")
        if type(shape) is not list or len(shape) > 2 or type(at) is not int:
            raise ValueError(f"an array of shape {shape!r} in frame {at!r}")
        size = dtype.itemsize
        for length in shape:
            if type(length) is not int or length < 0:
                raise ValueError(f"an array of shape {shape!r}")
            size *= length
        if not 1 <= at < len(self._frames) or len(self._frames[at]) != size:
            raise ValueError(f"an array of {size} bytes in frame {at} of {len(self._frames)}")
        return np.ndarray(shape, dtype, self._frames[at])


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
    lengths = list(map(len, frames))
    parts: list[Frame] = [_COUNT.pack(len(frames), 0), _LENGTHS[len(frames)].pack(*lengths)]
    for frame, length in zip(frames, lengths, strict=True):
        parts += (frame, _PADDING[-length & 7])
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
        lengths = _LENGTHS[n].unpack_from(data, _COUNT.size)
    except struct.error as error:
        raise MalformedMessage(f"message of {len(data)} bytes: {error}") from None
    frames, at = [], _COUNT.size + _LENGTHS[n].size
    whole = memoryview(data)
    for length in lengths:
        frames.append(whole[at : at + length])
        at += length + (-length & 7)
    if at != len(data):
        raise MalformedMessage(f"message: expected {at} bytes; got {len(data)}")
    return frames


def _bytes_of(array: npt.NDArray[Any]) -> Frame:
    """Return the bytes of a contiguous array, not copied unless they are few."""
    if array.nbytes <= _COPIED:
        return array.tobytes()
    if array.dtype.kind == "M":
        array = array.view(np.int64)  # moments have no buffer
    return array.data.cast("B")


def _dtypes_of(kind: Any) -> dict[str, np.dtype[Any]]:
    """Return the dtypes, by their names, of which arrays of a type such as `F32Matrix` can be.

    Raises:
        NotImplementedError: it is not a type of arrays at all.
    """
    if get_origin(kind) is not np.ndarray:
        raise NotImplementedError(f"{kind} cannot be received")
    scalar = get_args(get_args(kind)[1])[0]
    known = {name: np.dtype(name) for name in _DTYPES}
    return {
        name: dtype
        for name, dtype in known.items()
        if scalar is Any or np.issubdtype(dtype, scalar)
    }
