"""What Ray raises, told in the terms of `paradox.core.errors`."""

from __future__ import annotations

from ray.exceptions import (
    ActorUnavailableError,
    GetTimeoutError,
    ObjectStoreFullError,
    OutOfDiskError,
    PendingCallsLimitExceeded,
    RayActorError,
    RayError,
    RayTaskError,
    TaskCancelledError,
)

from paradox.cluster.shard import ShardClosed
from paradox.core.errors import (
    DeadlineExceeded,
    ParadoxError,
    ShardUnavailable,
    StorageUnavailable,
)


class ActorGone(ShardUnavailable):
    """The actor is dead for good, or closed: dropped with its collection, or its Ray cluster."""


def translated(error: BaseException, who: str) -> BaseException:
    """Return the error that a caller of Paradox should see.

    Args:
        error: what `ray.get` raised.
        who: whom it was asked of, for the message: "shard 3 of 'papers'".

    Returns:
        A `ParadoxError` raised by the actor's own code, as it was; `StorageUnavailable` for what
        its disk refused; `ActorGone`, `ShardUnavailable`, `DeadlineExceeded` or
        `StorageUnavailable` for Ray's own errors; any other error unchanged.
    """
    if isinstance(error, RayTaskError):
        if isinstance(error.cause, OSError):
            return StorageUnavailable(f"{who}: {error.cause}")
        if isinstance(error.cause, ShardClosed):
            return ActorGone(f"{who} is closed")
        return error.cause if isinstance(error.cause, ParadoxError) else error
    if isinstance(error, GetTimeoutError):
        return DeadlineExceeded(f"{who}: no answer in time")
    if isinstance(error, ActorUnavailableError):
        return ShardUnavailable(f"{who} is restarting or cannot be reached")
    if isinstance(error, RayActorError):
        return ActorGone(f"{who} is gone")
    if isinstance(error, PendingCallsLimitExceeded):
        return ShardUnavailable(f"{who} has too many calls waiting")
    if isinstance(error, TaskCancelledError):
        return DeadlineExceeded(f"{who}: the call was given up")
    if isinstance(error, ObjectStoreFullError | OutOfDiskError):
        return StorageUnavailable(f"Ray's object store has no room for the request to {who}")
    if isinstance(error, RayError):
        return ShardUnavailable(f"{who} cannot be reached: {type(error).__name__}")
    return error
