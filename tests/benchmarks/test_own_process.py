from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np
import pytest

from benchmarks.own_process import ProcessFailed, in_own_process


def _sum(rows: np.ndarray, *, of: int = 0) -> tuple[int, float]:
    return os.getpid(), float(rows.sum())


def _print_twice() -> str:
    print("from Python")
    os.write(1, b"from a library\n")
    os.write(2, b"a complaint\n")
    return "done"


def _raise() -> None:
    raise RuntimeError("no such metric: hamming")


def _die(how: signal.Signals) -> None:
    os.kill(os.getpid(), how)


def _leave(status: int) -> None:
    print("something else")
    os.write(2, b"not supported on this processor\n")
    os._exit(status)


def _unpicklable() -> object:
    return lambda: None


def test_a_result_comes_from_another_process() -> None:
    pid, total = in_own_process(_sum, np.arange(4.0))
    assert total == 6.0
    assert pid != os.getpid()


def test_what_is_printed_there_does_not_reach_standard_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert in_own_process(_print_twice) == "done"
    assert capfd.readouterr() == ("", "")


def test_an_error_is_told_with_its_type() -> None:
    with pytest.raises(ProcessFailed, match=r"^RuntimeError: no such metric: hamming$"):
        in_own_process(_raise)


@pytest.mark.parametrize("how", [signal.SIGILL, signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_is_told_by_its_signal(how: signal.Signals) -> None:
    with pytest.raises(ProcessFailed, match=rf"ended with {how.name}$"):
        in_own_process(_die, how)
    assert in_own_process(_sum, np.ones(2))[1] == 2.0


@pytest.mark.parametrize("status", [0, 1, 7])
def test_an_exit_is_told_with_its_last_words(status: int) -> None:
    with pytest.raises(
        ProcessFailed, match=rf"ended with status {status} after 'not supported on this processor'$"
    ):
        in_own_process(_leave, status)


def test_a_result_that_cannot_be_sent_is_a_failure() -> None:
    with pytest.raises(ProcessFailed, match=r"ended with status 1 after .*pickle"):
        in_own_process(_unpicklable)


def test_a_process_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ProcessFailed, match=r"was not done after 0\.5 s$"):
        in_own_process(time.sleep, 200, limit_s=0.5)
    assert in_own_process(_sum, np.ones(2), limit_s=200.0)[1] == 2.0


def test_leaving_by_sys_exit_is_a_failure() -> None:
    with pytest.raises(ProcessFailed, match="ended with status 3"):
        in_own_process(sys.exit, 3)
