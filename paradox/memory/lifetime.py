"""Changes of an engine, and its end, which waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from paradox.core.errors import InvalidArgument
from paradox.core.uninterrupted import uninterrupted

Result = TypeVar("Result")


class Lifetime:
    """Lets changes begin until the end begins, and the end happen when all of them are through.

    So a change is whole or is refused before anything of it was done: never stored and then told
    to be refused. Changes and the end run to their end whatever signal arrives.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._n_changing = 0
        self._is_ending = False
        self._ending = threading.Lock()
        self._is_over = False

    def change(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns.

        Raises:
            InvalidArgument: the end has begun.
            BaseException: what `work` raised, or a signal's handler meanwhile.
        """
        return uninterrupted(lambda: self._counted(work))

    def end(self, last: Callable[[], None]) -> None:
        """Refuse changes from now on, wait for those under way, and do what is last.

        It is done once, whatever it raises; who comes meanwhile waits for it.
        """
        uninterrupted(lambda: self._end(last))

    def _counted(self, work: Callable[[], Result]) -> Result:
        with self._condition:
            if self._is_ending:
                raise InvalidArgument("the engine is closed")
            self._n_changing += 1
        try:
            return work()
        finally:
            with self._condition:
                self._n_changing -= 1
                self._condition.notify_all()

    def _end(self, last: Callable[[], None]) -> None:
        with self._condition:
            self._is_ending = True
            self._condition.wait_for(lambda: not self._n_changing)
        with self._ending:
            if not self._is_over:
                self._is_over = True
                last()
