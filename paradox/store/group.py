"""Group commit: callers that come while a commit is being synced share the next one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from paradox.core.errors import ParadoxError, StorageUnavailable
from paradox.store.commit import Commit

Result = TypeVar("Result")

MAX_GROUP = 1_000
"""Operations that one commit takes at most."""


class GroupCommitter:
    """Runs callers' operations in commits, in the order they came.

    There is no committing thread and no timer. The first caller in commits what is queued; those
    who come while it waits for the disk queue up, and the first of them commits for all. A single
    caller never waits for company; a caller waits for the commit under way and then for its own,
    which takes up to `MAX_GROUP` operations.
    """

    def __init__(self, begin: Callable[[], Commit], finish: Callable[[Commit], None]) -> None:
        self._begin = begin
        self._finish = finish
        self._queue: deque[_Operation[object]] = deque()
        self.lock = threading.Lock()
        """Held while a commit is made; whoever holds it sees a state that does not change."""

    def run(self, stage: Callable[[Commit], Result]) -> Result:
        """Stage one operation, and return its result when it is durable.

        Raises:
            Exception: what staging it raised, or what writing the whole group raised.
        """
        operation = _Operation(stage)
        self._queue.append(operation)  # type: ignore[arg-type]
        while not operation.done:
            with self.lock:
                if not operation.done:
                    self._commit()
        if operation.error is not None:
            raise operation.error
        return operation.result  # type: ignore[return-value]

    def _commit(self) -> None:
        group = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_GROUP))]
        try:
            commit = self._begin()
            for operation in group:
                operation.stage_on(commit)
            self._finish(commit)
        except Exception as error:
            for operation in group:
                operation.error = operation.error or error
        except BaseException:  # Ctrl-C in this thread: the others' operations fail with it
            for operation in group:
                operation.error = operation.error or StorageUnavailable("commit: interrupted")
            raise
        finally:
            for operation in group:
                operation.done = True


class _Operation(Generic[Result]):
    def __init__(self, stage: Callable[[Commit], Result]) -> None:
        self._stage = stage
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.done = False

    def stage_on(self, commit: Commit) -> None:
        try:
            self.result = self._stage(commit)
        except ParadoxError as error:  # any other may have staged half of it, and ends the commit
            self.error = error
