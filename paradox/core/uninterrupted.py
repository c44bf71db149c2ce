"""Changes that run to their end whatever signal arrives."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")


def uninterrupted(work: Callable[[], Result]) -> Result:
    """Return what `work` returns, and raise what a signal's handler raised meanwhile after its end.

    Python runs the handlers of signals in the main thread, between any two of its steps, and Ctrl-C
    raises KeyboardInterrupt there. So work of the main thread is done in another one, and waited
    for. It must not need to be in the main thread.

    Raises:
        BaseException: what `work` raised, or the first that a signal's handler did.
    """
    if threading.current_thread() is not threading.main_thread() or sys.is_finalizing():
        return work()
    job, jobs = _Job(work), _jobs_of_the_worker()
    interruption: BaseException | None = None
    try:
        jobs.put(job.run)
        job.ended.acquire()
    except BaseException as error:
        interruption = error
    while not job.is_over:
        try:
            job.ended.acquire()
        except BaseException as error:
            interruption = interruption or error
    if interruption is None:
        return job.outcome()
    if job.error is not None:
        raise interruption from job.error
    raise interruption


class _Job(Generic[Result]):
    """Work for the worker.

    Attributes:
        ended: held until the work has ended.
        is_over: whether it has.
        error: what it raised.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._result: Result
        self.error: BaseException | None = None
        self.is_over = False
        self.ended = threading.Lock()
        self.ended.acquire()

    def run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self.error = error
        self.is_over = True
        self.ended.release()

    def outcome(self) -> Result:
        if self.error is not None:
            raise self.error
        return self._result


_jobs: SimpleQueue[Callable[[], None]] | None = None


def _jobs_of_the_worker() -> SimpleQueue[Callable[[], None]]:
    global _jobs
    if _jobs is None:
        jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=_work, args=(jobs,), name="paradox-changes", daemon=True).start()
        _jobs = jobs
    return _jobs


def _work(jobs: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        jobs.get()()


def _forget_the_worker() -> None:
    """Do so in a forked process, which has only the thread that forked."""
    global _jobs
    _jobs = None


os.register_at_fork(after_in_child=_forget_the_worker)
