"""A signal ends a command within seconds, with what it started, and is told at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent
OPENING = """
import os, signal, subprocess, sys, threading, time
from paradox import interruption
from paradox.interruption import interruptible

def tell():
    os.write(2, b"stopping\\n")

def sleeper(**options):
    return subprocess.Popen(["sleep", "600"], **options).pid
"""


@contextmanager
def command(script):
    """Run a script until it has printed a line; yield the process and that line."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPENING + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_told_and_ends_the_process_and_what_it_started(number):
    script = """
with interruptible(tell):
    print(sleeper(), sleeper(start_new_session=True), flush=True)
    time.sleep(600)
"""
    with command(script) as (process, line):
        ours, apart = (psutil.Process(int(pid)) for pid in line.split())
        process.send_signal(number)
        try:
            assert process.wait(60) == 130
            assert process.stderr.readline() == "stopping\n"
            psutil.wait_procs([ours], 60)
            assert not ours.is_running()
            assert apart.is_running()
        finally:
            apart.kill()


STUBBORN = """
interruption.GRACE_S = {grace_s}
with interruptible(tell):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_what_does_not_end_itself_is_ended():
    with command(STUBBORN.format(grace_s=0.1)) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_python_says_nothing_of_a_signal_that_a_destructor_loses():
    script = """
interruption.GRACE_S = 0.1

class Slow:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(600)

with interruptible(tell):
    Slow()
    time.sleep(600)
"""
    with command(script) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == "stopping\n"


def test_what_else_a_destructor_loses_is_told_as_before():
    script = """
class Bad:
    def __del__(self):
        raise ValueError

sys.unraisablehook = lambda ignored: print(ignored.exc_type.__name__, flush=True)
with interruptible(tell):
    Bad()
"""
    with command(script) as (_, line):
        assert line == "ValueError\n"


def test_it_is_told_before_what_is_cut_short_complains():
    script = """
with interruptible(tell):
    try:
        print("ready", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        os.write(2, b"cut short\\n")
        raise
"""
    with command(script) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
        assert process.stderr.read() == "stopping\ncut short\n"


def test_a_second_signal_does_not_wait():
    with command(STUBBORN.format(grace_s=600)) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "stopping\n"
        while process.poll() is None:  # until the first one has been told in full
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert process.returncode == 130


def test_afterwards_signals_are_as_they_were():
    script = """
before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
with interruptible(tell):
    assert signal.getsignal(signal.SIGTERM) is not before[0]
assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
print(threading.active_count() <= 2, flush=True)
time.sleep(600)
"""
    with command(script) as (process, line):
        assert line == "True\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
