"""What Ctrl-C and SIGTERM do to a command: it says so at once, and ends within seconds.

Python runs the handler of a signal between two steps of the main thread, and that may be seconds
away while a library connects, or ends what it started. So a thread learns of signals from the
descriptor that Python writes them to: it tells, and ends the process that does not end itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, NoReturn

import psutil

if TYPE_CHECKING:
    from types import FrameType

EXIT_CODE = 130  # 128 + SIGINT, as shells have it
GRACE_S = 2.0
_TELL_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(tell: Callable[[], None]) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into KeyboardInterrupt, which is told, and end with it.

    The process ends when that leaves the block, after `GRACE_S`, or with a second signal.

    Args:
        tell: called once, in another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = _Ending(tell)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    catch_signals()
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # Ray's own handler exits, while Ray starts
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)  # the thread learns of a second one
        ending.end_if_told()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ending.close()


def catch_signals() -> None:
    """Have signals raise KeyboardInterrupt, again where `ray.init` took them for itself."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt once it was told, before what is cut short complains."""
    for ending in _Ending.at_work:
        ending.wait()
    raise KeyboardInterrupt


class _Ending:
    """The thread that learns of signals."""

    at_work: ClassVar[list[_Ending]] = []

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._told = threading.Event()
        self._started: set[psutil.Process] = set()
        self._signals, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._before = signal.set_wakeup_fd(self._writing)
        self._complain, sys.unraisablehook = sys.unraisablehook, self._complain_of_others
        threading.Thread(target=self._watch, daemon=True).start()
        self.at_work.append(self)

    def close(self) -> None:
        """Let signals be."""
        self.at_work.remove(self)
        sys.unraisablehook = self._complain
        signal.set_wakeup_fd(self._before)
        os.close(self._writing)

    def wait(self) -> bool:
        """Wait until a signal was told; False if none was."""
        return self._told.wait(_TELL_S)

    def end_if_told(self) -> None:
        """End the process, if a signal has come."""
        if self.wait():
            self._end()

    def _complain_of_others(self, ignored: sys.UnraisableHookArgs) -> None:
        """Say nothing of the KeyboardInterrupt that a destructor loses: it has been told."""
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            self._complain(ignored)

    def _watch(self) -> None:
        while number := os.read(self._signals, 1):
            if number[0] not in _SIGNALS:
                continue
            if self._told.is_set():
                self._end()
            self._tell()
            self._started.update(psutil.Process().children(recursive=True))
            timer = threading.Timer(GRACE_S, self._end)
            timer.daemon = True
            timer.start()
            self._told.set()
        os.close(self._signals)

    def _end(self) -> NoReturn:
        """End this process and those it started; what `paradox up` starts has its own session."""
        session = os.getsid(0)
        for process in {*self._started, *psutil.Process().children(recursive=True)}:
            with contextlib.suppress(psutil.Error, OSError):
                if process.is_running() and os.getsid(process.pid) == session:
                    process.kill()
        os._exit(EXIT_CODE)
