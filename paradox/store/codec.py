"""Records and changes as bytes, each with a CRC32C over all of it.

    record   id | seq | content_version | version | timestamp   5 x int64, little-endian
             [encoder_id, payload]                              msgpack
             vector                                             dim x float32
             CRC32C of all of it                                uint32
    head     content_version | seq | that CRC32C                what a replacement needs to know
    change   first seq | number of upserts                      2 x int64
             ids upserted, then ids deleted                     int64 each
             CRC32C of all of it                                uint32

The id stands in the record, so a value under another record's key is caught too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import msgspec
import numpy as np
import numpy.typing as npt

from paradox.core.errors import RecordCorrupt
from paradox.core.types import F32Matrix, I64Matrix, I64Vector, Payload
from paradox.store.batch import RecordBlock

_HEADER = struct.Struct("<5q")
_HEAD = struct.Struct("<qqI")
_CRC = struct.Struct("<I")
_CHANGE = struct.Struct("<qq")
_SIGN = np.uint64(1 << 63)

_encode_meta = msgspec.msgpack.Encoder().encode
_decode_meta = msgspec.msgpack.Decoder(tuple[str, dict[str, Any]]).decode
_crc32c = google_crc32c.value

REMEDY = "replace or delete the record, or restore a snapshot"


def id_keys(ids: I64Vector) -> list[bytes]:
    """Return the keys of ids: 8 bytes, big-endian, offset by 2^63 so that they sort as numbers."""
    raw = (ids.view(np.uint64) ^ _SIGN).astype(">u8").tobytes()
    return [raw[at : at + 8] for at in range(0, len(raw), 8)]


def ids_of(keys: Sequence[bytes]) -> I64Vector:
    """Return the ids of keys that `id_keys` made."""
    return (np.frombuffer(b"".join(keys), ">u8").astype(np.uint64) ^ _SIGN).view(np.int64)


def seq_key(seq: int) -> bytes:
    """Return the key of a number that is never negative: 8 bytes, big-endian."""
    return seq.to_bytes(8, "big")


def pack_head(content_version: int, seq: int, crc: int) -> bytes:
    """Return the head of a record."""
    return _HEAD.pack(content_version, seq, crc)


def unpack_heads(heads: Sequence[bytes]) -> tuple[I64Vector, I64Vector, npt.NDArray[np.uint64]]:
    """Return content versions, seqs and CRCs of heads."""
    raw = np.frombuffer(b"".join(heads), np.dtype([("v", "<i8"), ("s", "<i8"), ("c", "<u4")]))
    return raw["v"].astype(np.int64), raw["s"].astype(np.int64), raw["c"].astype(np.uint64)


def pack_change(first_seq: int, upserts: I64Vector, deletes: I64Vector) -> bytes:
    """Return the change of one batch."""
    body = b"".join((_CHANGE.pack(first_seq, len(upserts)), upserts.tobytes(), deletes.tobytes()))
    return body + _CRC.pack(_crc32c(body))


def unpack_change(value: bytes, path: Path) -> tuple[int, I64Vector, I64Vector]:
    """Return first seq, ids upserted and ids deleted of a change.

    Raises:
        RecordCorrupt: its checksum fails.
    """
    body = value[:-4]
    if len(value) < 20 or _CRC.pack(_crc32c(body)) != value[-4:]:
        raise RecordCorrupt("a change fails its checksum", path, None, "restore a snapshot")
    first_seq, n_upserts = _CHANGE.unpack_from(body)
    ids = np.frombuffer(body, np.int64, offset=16)
    return first_seq, ids[:n_upserts], ids[n_upserts:]


def record_digest(seqs: I64Vector, crcs: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return what of each record goes into the digest: its seq, which is unique, and its CRC."""
    return seqs.astype(np.uint64) << np.uint64(32) ^ crcs


class RecordCodec:
    """Turns records of one dimension into bytes and back."""

    def __init__(self, dim: int, path: Path) -> None:
        self._dim = dim
        self._path = path
        self._vector_bytes = 4 * dim
        self._smallest = _HEADER.size + self._vector_bytes + _CRC.size

    def encode(
        self,
        ids: I64Vector,
        vectors: F32Matrix,
        rows: Sequence[Payload],
        encoder_id: str,
        version: int,
        timestamps: I64Vector,
        content_versions: I64Vector,
        first_seq: int,
    ) -> tuple[list[bytes], list[int]]:
        """Return the records' bytes and their CRCs."""
        size = self._vector_bytes
        raw = vectors.tobytes()
        values, crcs = [], []
        pack, pack_crc, crc32c, meta = _HEADER.pack, _CRC.pack, _crc32c, _encode_meta
        columns = zip(
            ids.tolist(), timestamps.tolist(), content_versions.tolist(), rows, strict=True
        )
        for row, (record_id, timestamp, content_version, payload) in enumerate(columns):
            body = b"".join(
                (
                    pack(record_id, first_seq + row, content_version, version, timestamp),
                    meta((encoder_id, payload)),
                    raw[row * size : row * size + size],
                )
            )
            crc = crc32c(body)
            values.append(body + pack_crc(crc))
            crcs.append(crc)
        return values, crcs

    def decode_vectors(self, ids: I64Vector, values: Sequence[bytes]) -> F32Matrix:
        """Return the vectors of records, checked.

        Raises:
            RecordCorrupt: the bytes are not those of one of these records.
        """
        self._headers(ids, values)
        return self._vectors(values)

    def decode_block(self, ids: I64Vector, values: Sequence[bytes]) -> RecordBlock:
        """Return records, checked, column by column.

        Raises:
            RecordCorrupt: the bytes are not those of one of these records.
        """
        headers = self._headers(ids, values)
        stop = -4 - self._vector_bytes
        meta = [_decode_meta(value[_HEADER.size : stop]) for value in values]
        return RecordBlock(
            ids=ids,
            vectors=self._vectors(values),
            payloads=[payload for _, payload in meta],
            encoder_ids=[encoder_id for encoder_id, _ in meta],
            versions=headers[:, 3].copy(),
            timestamps=headers[:, 4].copy(),
            content_versions=headers[:, 2].copy(),
            seqs=headers[:, 1].copy(),
        )

    def seq(self, value: bytes) -> int:
        """Return the seq of a record, unchecked."""
        return int.from_bytes(value[8:16], "little")

    def crcs(self, values: Sequence[bytes]) -> npt.NDArray[np.uint64]:
        """Return the CRCs that records carry."""
        return np.frombuffer(b"".join([value[-4:] for value in values]), "<u4").astype(np.uint64)

    def _headers(self, ids: I64Vector, values: Sequence[bytes]) -> I64Matrix:
        """Return id, seq, content version, version and timestamp of records, checked."""
        if values and min(map(len, values)) > self._smallest:
            raw = b"".join([value[: _HEADER.size] for value in values])
            headers = np.frombuffer(raw, "<i8").reshape(-1, 5)
            crcs = np.array([_crc32c(value[:-4]) for value in values], np.uint64)
            if np.array_equal(headers[:, 0], ids) and np.array_equal(crcs, self.crcs(values)):
                return headers
        for record_id, value in zip(ids.tolist(), values, strict=True):
            self._check(record_id, value)  # raises for the one that is damaged
        return np.empty((0, 5), np.int64)

    def _vectors(self, values: Sequence[bytes]) -> F32Matrix:
        start = -4 - self._vector_bytes
        raw = bytearray().join([value[start:-4] for value in values])
        return np.frombuffer(raw, np.float32).reshape(len(values), self._dim)

    def _check(self, record_id: int, value: bytes) -> None:
        if (
            len(value) <= self._smallest
            or _CRC.pack(_crc32c(value[:-4])) != value[-4:]
            or int.from_bytes(value[:8], "little", signed=True) != record_id
        ):
            raise RecordCorrupt(f"record {record_id} fails its checksum", self._path, None, REMEDY)
