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
    body = msgspec.json.encode(content)
    sealed = _Sealed(_digest(body), msgspec.Raw(body))
    write_atomically(path, msgspec.json.encode(sealed), b"\n")


def read_sealed(path: Path, kind: type[T], *, remedy: str) -> T | None:
    """Return what `write_sealed` wrote, or None where there is no such file.

    Args:
        path: the file.
        kind: what it holds.
        remedy: what to do about a damaged one, for the message.

    Raises:
        CorruptionError: the file does not hold what was written.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
        body = bytes(sealed.content)
        if sealed.blake2b == _digest(body):
            return msgspec.json.decode(body, type=kind)
        damage = f"expected content of the checksum {sealed.blake2b}; got {_digest(body)}"
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        damage = f"expected the JSON that Paradox wrote; got something else: {error}"
    raise CorruptionError(damage, path, None, remedy)


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
