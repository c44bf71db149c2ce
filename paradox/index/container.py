"""One file for one saved index, of which no byte can change unnoticed.

    offset  bytes
    0       8        magic, b"PDXINDEX"
    8       4        format version, little-endian
    12      4        length of the header, little-endian
    16      32       keyed BLAKE2b of the bytes 0 to 16 and the header with its padding
    48      header   JSON: kind, the backend's own fields, and of each section name, length, hash
    …       section  each begins at a multiple of 64 and is padded with zeros to one; its keyed
                     BLAKE2b covers the padding

The file ends with the last section. Everything is verified before anything is parsed, and what is
handed over is what was verified: bytes in memory, or the map itself. The key is no secret: it keeps
hashes of other formats from passing for ours, and does not protect against forgery.
"""

from __future__ import annotations

import hashlib
import mmap as memory_map
import os
import struct
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from paradox.core.errors import IndexFileCorrupt
from paradox.core.files import write_atomically

FORMAT = 4

_MAGIC = b"PDXINDEX"
_KEY = b"paradox index container"
_PREFIX = struct.Struct("<8sII")
_DIGEST_BYTES = 32
_HEADER_AT = _PREFIX.size + _DIGEST_BYTES
_ALIGNMENT = 64
_REMEDY = "build the index again, or restore the file from a copy"


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    size: int
    digest: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    fields: dict[str, Any]
    sections: list[_Section]


def write_container(
    path: Path, kind: str, fields: Mapping[str, Any], sections: Mapping[str, Any]
) -> None:
    """Write a container, replacing the file durably and in one step.

    Args:
        path: the file; its folder must exist.
        kind: what it holds: the name of a backend, for an index.
        fields: what JSON can say: numbers, strings, lists and dicts of them.
        sections: name to C-contiguous buffer (bytes, memoryview, array).

    Raises:
        OSError: the file could not be written; `path` is then as it was.
    """
    views = [_bytes_of(section) for section in sections.values()]
    paddings = [bytes(-len(view) % _ALIGNMENT) for view in views]
    described = [
        _Section(name, len(view), _digest(view, padding).hex())
        for name, view, padding in zip(sections, views, paddings, strict=True)
    ]
    header = msgspec.json.encode(_Header(kind, dict(fields), described))
    header += b" " * (-(_HEADER_AT + len(header)) % _ALIGNMENT)
    prefix = _PREFIX.pack(_MAGIC, FORMAT, len(header))
    body = [part for pair in zip(views, paddings, strict=True) for part in pair]
    write_atomically(path, prefix, _digest(prefix, header), header, *body)


def read_container(
    path: Path, kind: str | None = None, *, mmap: bool = False
) -> tuple[dict[str, Any], dict[str, memoryview]]:
    """Return the fields and sections of a container, every byte of it verified.

    Args:
        path: the file.
        kind: what it must hold, or None for anything.
        mmap: map the sections, read-only, instead of reading them. The file must then not be
            written to in place while they are in use (see `MappedFile`); replacing it is safe.

    Returns:
        fields as they were written; section name to its bytes, writable unless mapped.

    Raises:
        IndexFileCorrupt: truncated, altered, extended, of another kind or of another version.
    """
    with path.open("rb") as file:
        header, begin = _read_header(file, path)
        if kind is not None and header.kind != kind:
            raise IndexFileCorrupt(
                f"expected an index of kind {kind!r}; got {header.kind!r}", path, _HEADER_AT
            )
        ends = list(accumulate((_padded(s.size) for s in header.sections), initial=begin))
        size = os.fstat(file.fileno()).st_size
        if size != ends[-1]:
            raise _damage(f"expected {ends[-1]} bytes; got {size}", path, min(size, ends[-1]))
        blocks = _mapped(file, ends) if mmap else _loaded(file, path, ends)
        sections = {}
        for section, offset, block in zip(header.sections, ends, blocks, strict=False):
            if _digest(block).hex() != section.digest:
                raise _damage(f"section {section.name!r} is not what was written", path, offset)
            sections[section.name] = block[: section.size]
        return header.fields, sections


class MappedFile:
    """The file of mapped sections, watched as long as any of them is in use.

    Reading beyond the end of a file that was cut off ends the process: whoever reads asks before.
    What happens while it reads is not noticed.

    Args:
        path: the file.
        mapped: what maps it.
    """

    def __init__(self, path: Path, mapped: memory_map.mmap) -> None:
        self._path = path
        self._map = weakref.ref(mapped)

    @classmethod
    def of(cls, path: Path, sections: Mapping[str, memoryview]) -> MappedFile | None:
        """Return the file that sections are mapped from, or None where they were read."""
        for section in sections.values():
            if isinstance(section.obj, memory_map.mmap):
                return cls(path, section.obj)
        return None

    def check(self) -> None:
        """Refuse to read what is no more.

        Raises:
            IndexFileCorrupt: the file is shorter than when it was mapped.
        """
        mapped = self._map()
        if mapped is None:
            return
        size = mapped.size()
        if size < len(mapped):
            raise _damage(
                f"the file shrank while it was mapped: expected {len(mapped)} bytes; got {size}",
                self._path,
                size,
            )


@contextmanager
def made_from(path: Path) -> Iterator[None]:
    """Tell what a verified file's fields and sections make their readers raise as its damage.

    Raises:
        IndexFileCorrupt: they are not such as any index is saved as.
    """
    try:
        yield
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise _damage(f"its parts do not fit together: {error!r}", path, None) from error


def read_kind(path: Path) -> str:
    """Return the kind of a container, its header verified.

    Raises:
        IndexFileCorrupt: the header is truncated, altered, or of another version.
    """
    with path.open("rb") as file:
        return _read_header(file, path)[0].kind


def _read_header(file: BinaryIO, path: Path) -> tuple[_Header, int]:
    prefix = file.read(_PREFIX.size)
    digest = file.read(_DIGEST_BYTES)
    if len(digest) < _DIGEST_BYTES:
        raise _damage(
            f"expected a header of {_HEADER_AT} bytes; the file ends before",
            path,
            len(prefix) + len(digest),
        )
    magic, version, length = _PREFIX.unpack(prefix)
    if magic != _MAGIC:
        raise _damage(f"expected an index file, beginning with {_MAGIC!r}; got {magic!r}", path, 0)
    if version != FORMAT:
        raise IndexFileCorrupt(
            f"expected format version {FORMAT}; got {version}",
            path,
            len(_MAGIC),
            "another version of Paradox wrote it, or it is damaged",
        )
    if length > os.fstat(file.fileno()).st_size - _HEADER_AT:
        raise _damage(f"expected a header of {length} bytes; the file ends before", path, 12)
    encoded = file.read(length)
    if _digest(prefix, encoded) != digest:
        raise _damage("the header is not what was written", path, 0)
    try:
        return msgspec.json.decode(encoded, type=_Header), _HEADER_AT + length
    except msgspec.MsgspecError as error:
        raise _damage(f"the header cannot be read: {error}", path, _HEADER_AT) from error


def _loaded(file: BinaryIO, path: Path, ends: list[int]) -> Iterator[memoryview]:
    for begin, end in pairwise(ends):
        block = memoryview(np.empty(end - begin, np.uint8).data)
        done = 0
        while done < len(block):
            n = file.readinto(block[done:])  # type: ignore[attr-defined]
            if not n:
                raise _damage("the file shrank while it was read", path, begin + done)
            done += n
        yield block


def _mapped(file: BinaryIO, ends: list[int]) -> Iterator[memoryview]:
    whole = memoryview(memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_READ))
    for begin, end in pairwise(ends):
        yield whole[begin:end]


def _digest(*parts: Any) -> bytes:
    blake = hashlib.blake2b(key=_KEY, digest_size=_DIGEST_BYTES)
    for part in parts:
        blake.update(part)
    return blake.digest()


def _bytes_of(section: Any) -> memoryview:
    view = memoryview(section)
    return view.cast("B") if view.nbytes else memoryview(b"")


def _padded(size: int) -> int:
    return size + -size % _ALIGNMENT


def _damage(message: str, path: Path, offset: int | None) -> IndexFileCorrupt:
    return IndexFileCorrupt(message, path, offset, _REMEDY)
