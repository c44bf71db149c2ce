"""The nodes a search has met, in a program of its own beside a plain list of them."""

from __future__ import annotations

import subprocess

import pytest
from program import Program

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "flags",
    [["-O3"], ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]],
    ids=["optimised", "sanitized"],
)
def test_a_frontier_expands_what_a_list_would(
    flags: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    program = Program(
        "g++",
        {"graph/frontier": []},
        flags,
        "the address and undefined-behaviour sanitizers of GCC",
        driver="drive_frontier.cpp",
    )
    command = program.build(tmp_path_factory.mktemp("drive"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "the same\n"), done.stderr
