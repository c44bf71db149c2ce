"""Small files of settings and state that notice when a byte of them has changed.

One JSON object, `{"blake2b": "<digest>", "content": {...}}`, replaced atomically; the digest is
that of the content's bytes as they stand in the file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

import msgspec

from paradox.core.errors import CorruptionError
from paradox.core.files import write_atomically

T = TypeVar("T", bound=msgspec.Struct)


class _Sealed(msgspec.Struct):
    blake2b: str
    content: msgspec.Raw


def write_sealed(path: Path, content: msgspec.Struct) -> None:
    """Replace `path` by `content`, durably and in one step."""
    write_atomically(path, seal(content))


def read_sealed(path: Path, kind: type[T]) -> T | None:
    """Return what `write_sealed` wrote, or None where there is no such file.

    Raises:
        CorruptionError: the file does not hold what was written.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return unseal(data, kind, path)


def seal(content: msgspec.Struct) -> bytes:
    """Return the bytes of a sealed file."""
    body = msgspec.json.encode(content)
    return msgspec.json.encode(_Sealed(_digest(body), msgspec.Raw(body))) + b"\n"


def unseal(data: bytes, kind: type[T], path: Path | str) -> T:
    """Return the content of a sealed file.

    Raises:
        CorruptionError: `data` is not what `seal` returned; `path` is named.
    """
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
        body = bytes(sealed.content)
        if sealed.blake2b != _digest(body):
            raise CorruptionError(
                f"expected the checksum {_digest(body)}; got {sealed.blake2b}", path
            )
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise CorruptionError(f"expected a sealed {kind.__name__}; {error}", path) from error


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
