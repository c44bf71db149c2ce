"""Every error Paradox raises, in one tree.

    ParadoxError
    ├── CallerError                 the caller's fault: never retried as it is
    │   ├── InvalidArgument         a value out of its range or of the wrong type
    │   │   ├── DimensionMismatch   vectors of another dimension than the collection's
    │   │   ├── NonFiniteVector     NaN or infinity, or a float32 overflow
    │   │   └── ZeroVector          a vector without direction under the cosine metric
    │   ├── FilterError             not one SQL expression, or an undeclared column
    │   ├── PayloadError            a payload value or column of an undeclared type
    │   ├── SourceError             an input file that cannot be read (names file and row)
    │   ├── CollectionNotFound      no collection of that name
    │   ├── CollectionExists        that name is taken with other settings
    │   ├── UnknownBackend          no index backend of that name, or its package is missing
    │   └── UnknownEncoder          no encoder of that name, or its package is missing
    ├── RetryableError              try again, after `retry_after_s`
    │   ├── ShardUnavailable        a shard is dead, restarting or unreachable
    │   ├── Overloaded              more is asked at a time than is taken on
    │   ├── DeadlineExceeded        the answer did not come in time
    │   └── StorageUnavailable      the disk refused a write (full, or failing)
    ├── CorruptionError             stored bytes are not what was written
    │   ├── IndexFileCorrupt        an index file or checkpoint
    │   ├── RecordCorrupt           a record, or a record missing from its key range
    │   └── SnapshotCorrupt         a snapshot
    └── InternalError               a defect of Paradox itself, in another process

A message says what was expected, what came, and where. All of them survive pickling, so they
cross a Ray actor boundary as themselves.
"""

from __future__ import annotations

from pathlib import Path


class ParadoxError(Exception):
    """Base of all errors raised by Paradox."""


class CallerError(ParadoxError):
    """The request itself is wrong; repeating it unchanged fails again."""


class InvalidArgument(CallerError, ValueError):
    """An argument is of the wrong type or out of its range."""


class DimensionMismatch(InvalidArgument):
    """Vectors do not have the dimension of the collection or index."""


class NonFiniteVector(InvalidArgument):
    """A vector holds NaN or infinity, or a value that overflows float32."""


class ZeroVector(InvalidArgument):
    """A zero vector came under the cosine metric, where it has no direction."""


class FilterError(CallerError, ValueError):
    """A filter is not one SQL expression over declared payload columns."""


class PayloadError(CallerError, ValueError):
    """A payload does not fit the declared columns."""


class SourceError(CallerError):
    """An input cannot be read; the message names the file and, if known, the row."""


class CollectionNotFound(CallerError, KeyError):
    """No collection of that name is known."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return Exception.__str__(self)


class CollectionExists(CallerError):
    """The name is taken by a collection with other settings."""


class UnknownBackend(CallerError, LookupError):
    """No index backend of that name, or the package it needs is not installed."""


class UnknownEncoder(CallerError, LookupError):
    """No encoder of that name, or the package it needs is not installed."""


class RetryableError(ParadoxError):
    """The same request may succeed later.

    Attributes:
        retry_after_s: seconds after which trying again is worth it.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.args[0]} (try again after {self.retry_after_s:g} s)"


class ShardUnavailable(RetryableError):
    """A shard that the request needs is dead, restarting or unreachable."""


class Overloaded(RetryableError):
    """More calls wait than are taken on at a time; nothing of this one was done."""


class DeadlineExceeded(RetryableError):
    """The deadline passed before the answer was complete."""


class StorageUnavailable(RetryableError):
    """The storage refused a write; nothing of it was acknowledged."""


class CorruptionError(ParadoxError):
    """Stored bytes differ from what was written.

    Attributes:
        path: the damaged file or folder.
        offset: byte offset of the damage, or None where it is not known.
        remedy: what to do about it.
    """

    def __init__(
        self, message: str, path: str | Path, offset: int | None = None, remedy: str = ""
    ) -> None:
        super().__init__(message, str(path), offset, remedy)
        self.path = str(path)
        self.offset = offset
        self.remedy = remedy

    def __str__(self) -> str:
        place = self.path if self.offset is None else f"{self.path} at byte {self.offset}"
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.args[0]} [{place}]{remedy}"


class IndexFileCorrupt(CorruptionError):
    """An index file is truncated, altered, or not an index file."""


class RecordCorrupt(CorruptionError):
    """A record's checksum fails, or a record is missing from its key range."""


class SnapshotCorrupt(CorruptionError):
    """A snapshot's file is missing or does not match the manifest."""


class InternalError(ParadoxError):
    """Something failed in another process that should not; its log has the traceback."""
