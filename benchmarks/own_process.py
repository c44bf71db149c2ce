"""Each library in a process of its own: none meets another, and one that crashes ends only itself.

Some peers end the process they are in: one was compiled for instructions that this processor
lacks, another refuses processors of another maker.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_MOST_SAID = 200


class ProcessFailed(Exception):
    """The function raised, or its process ended without an answer; the message says how."""


def in_own_process(
    function: Callable[..., Result], *arguments: object, limit_s: float | None = None
) -> Result:
    """Return what the function returns in a fresh process.

    What it prints there is kept back, so that a report on standard output stays one.

    Args:
        function: of a module, so that the process can import it.
        *arguments: can be pickled, as its result can.
        limit_s: seconds after which the process is ended.

    Raises:
        ProcessFailed: with the error it raised, or the signal or status its process ended with
            and the last line it had printed; or that it took too long.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile() as printed:
        target = (sender, Path(printed.name), function, arguments)
        process = context.Process(target=_answer, args=target)
        process.start()
        sender.close()
        try:
            if not wait([receiver, process.sentinel], limit_s):
                process.kill()
                raise ProcessFailed(f"its process was not done after {limit_s} s")
            answer = receiver.recv() if receiver.poll() else None
        except EOFError:
            answer = None
        finally:
            receiver.close()
            process.join()
        if answer is None:
            said = Path(printed.name).read_text(errors="replace").strip().splitlines()
            last = f" after {said[-1][-_MOST_SAID:]!r}" if said else ""
            raise ProcessFailed(f"its process ended with {_ending(process.exitcode)}{last}")
    failed, value = answer
    if failed:
        raise ProcessFailed(value)
    result: Result = value
    return result


def _answer(
    sender: Connection, printed: Path, function: Callable[..., object], arguments: tuple[object]
) -> None:
    """Send what the function returns, or its error in words."""
    _print_into(printed)
    try:
        answer = (False, function(*arguments))
    except Exception as error:  # whatever a library throws is for the caller to read
        answer = (True, f"{type(error).__name__}: {error}")
    sender.send(answer)


def _print_into(path: Path) -> None:
    """Have this process, its native libraries too, print into a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _ending(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"status {exit_code}"
