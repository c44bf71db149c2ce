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
            "graph/chunks",
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
    told = re.findall(r"^\d+ nodes, (\d+) searches, (\d+) bypasses$", done.stdout, re.MULTILINE)
    assert len(told) == 4  # by edges and by sweeps, with codes of edges and without
    for n_searches, n_bypasses in told:
        assert int(n_searches) > 100
        assert int(n_bypasses) > 1
