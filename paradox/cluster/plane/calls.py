"""What goes over the data plane: calls, answers, and calls that are given up.

| message | frames behind the sender's identity           |
| ------- | --------------------------------------------- |
| call    | `Call`, the argument's body, its arrays       |
| answer  | `Answer`, the result's body, its arrays       |
| failure | `Answer` with `failed`, a `Failure`           |
| given up | `GivenUp`                                    |

Small messages travel as one frame, in which these are joined: each frame more takes ZeroMQ and
Python some 10 µs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import msgspec

from paradox.cluster.wire import Frame, MalformedMessage, joined, pack, split, unpack
from paradox.core.errors import InternalError, ParadoxError


class Call(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """One call.

    Attributes:
        number: the caller's, each once on its line.
        method: of the shard.
        timeout_s: how long the caller waits from when it sent this; clocks may differ.
    """

    number: int
    method: str
    timeout_s: float


class GivenUp(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A call of the same line that nobody waits for any more."""

    number: int


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The head of what became of a call."""

    number: int
    failed: bool = False


class Failure(msgspec.Struct, frozen=True):
    """An error that a call ended with.

    Attributes:
        kind: name of its class, one of `paradox.core.errors` or derived from those.
        args: as its constructor takes them.
    """

    kind: str
    args: tuple[str | int | float | None, ...]


class PlaneAddress(msgspec.Struct, frozen=True):
    """Where a shard answers, and what it takes to be heard there.

    Attributes:
        endpoint: as ZeroMQ has it, `tcp://10.0.0.7:41234`.
        server_key: public key of the shard, Z85.
        client_public: of the key pair that the shard lets in, Z85.
        client_secret: of the same; whoever may call the actor learns it.
    """

    endpoint: str
    server_key: bytes
    client_public: bytes
    client_secret: bytes

    def __repr__(self) -> str:  # no secret in logs
        return f"<PlaneAddress {self.endpoint}>"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a shard takes on at a time.

    Attributes:
        message_bytes: of one frame.
        calls: under way and waiting; more are refused.
        bytes: of the arguments of those.
        workers: calls that run beside each other, besides those that are answered at once.
    """

    message_bytes: int = 64 << 20
    calls: int = 512
    bytes: int = 256 << 20
    workers: int = 12


_JOINED_BYTES = 1 << 16

Head: TypeAlias = Call | GivenUp
_ENCODER = msgspec.msgpack.Encoder()
_HEADS = msgspec.msgpack.Decoder(Call | GivenUp)
_ANSWERS = msgspec.msgpack.Decoder(Answer)
_FAILURES = msgspec.msgpack.Decoder(Failure)


def packed_call(number: int, method: str, argument: object, *, timeout_s: float) -> list[Frame]:
    """Return a call as a message."""
    return _message([_ENCODER.encode(Call(number, method, timeout_s)), *pack(argument)])


def packed_giving_up(number: int) -> list[Frame]:
    """Return the message that gives a call up."""
    return _message([_ENCODER.encode(GivenUp(number))])


def frames_of(message: Sequence[Frame]) -> Sequence[Frame]:
    """Return the frames of a message, as in the table above.

    Raises:
        MalformedMessage: it is one frame, and no others are joined in it.
    """
    return split(message[0]) if len(message) == 1 else message


def head_of(frames: Sequence[Frame]) -> Head:
    """Return the head of what a caller sent.

    Raises:
        MalformedMessage: it is no such thing.
    """
    try:
        head: Head = _HEADS.decode(frames[0])
    except (msgspec.MsgspecError, ValueError, IndexError) as error:  # ValueError: not UTF-8
        raise MalformedMessage(f"message: {error}") from None
    return head


def packed_answer(number: int, result: object) -> list[Frame]:
    """Return an answer as a message."""
    return _message([_ENCODER.encode(Answer(number)), *pack(result)])


def packed_failure(number: int, error: ParadoxError) -> list[Frame]:
    """Return an error as a message."""
    args = (str(error.args[0]) if error.args else "", *error.args[1:])
    failure = _ENCODER.encode(Failure(type(error).__name__, args))
    return _message([_ENCODER.encode(Answer(number, failed=True)), failure])


def answer_of(frames: Sequence[Frame]) -> Answer:
    """Return the head of what a shard sent, which is trusted to be one."""
    return _ANSWERS.decode(frames[0])


def result_of(frames: Sequence[Frame], kind: Any) -> Any:
    """Return the result behind an answer's head, or why it cannot be read.

    Another version of Paradox may have sent it.
    """
    try:
        return unpack(frames[1:], kind)
    except MalformedMessage as error:
        return InternalError(f"the answer cannot be read: {error}")


def failure_of(frames: Sequence[Frame]) -> ParadoxError:
    """Return the error behind an answer's head."""
    failure = _FAILURES.decode(frames[1])
    kind = _kinds().get(failure.kind)
    if kind is None:
        return InternalError(f"{failure.kind}: {failure.args}")
    return kind(*failure.args)


def _message(frames: list[Frame]) -> list[Frame]:
    return [joined(frames)] if sum(map(len, frames)) < _JOINED_BYTES else frames


@cache
def _kinds() -> dict[str, type[ParadoxError]]:
    """Return all errors of Paradox by their names."""
    found: dict[str, type[ParadoxError]] = {}
    left = [ParadoxError]
    while left:
        kind = left.pop()
        found[kind.__name__] = kind
        left += kind.__subclasses__()
    return found
