"""What a graph's readers and its writer do to the same memory, as the thread sanitizer sees it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.test_fuzz_native import FUZZ, GRAPH
from tests.kernels.program import HERE, Program

PROGRAM = Program(
    "g++",
    {
        source: []
        for source in (
            "thread_pool",
            "graph/rotation",
            "graph/node_store",
            *(f"graph/{source}" for source in GRAPH),
        )
    }
    | {"graph/graph_kernels_scalar": ["-fno-sanitize=thread"]},
    ["-g", "-O1", "-fsanitize=thread"],
    "the thread sanitizer of GCC",
    driver=os.path.relpath(FUZZ / "beside_writer.cpp", HERE),
)


@pytest.mark.slow
def test_readers_and_a_writer_race_for_nothing_but_the_bytes_of_edges(tmp_path: Path) -> None:
    command = PROGRAM.build(tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:6_000]
    told = re.fullmatch(r"\d+ nodes, (\d+) searches, (\d+) bypasses\n", done.stdout)
    assert told is not None
    assert int(told[1]) > 100
    assert int(told[2]) > 1
