"""What a graph's readers and its writer do to the same memory, as the thread sanitizer sees it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.programs import GRAPH, program

PROGRAM = program(
    "beside_writer",
    "graph/chunks",
    *GRAPH,
    kernels={"graph/graph_kernels_scalar": ["-fno-sanitize=thread"]},
    flags=["-g", "-O1", "-fsanitize=thread"],
    needs="the thread sanitizer of GCC",
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
