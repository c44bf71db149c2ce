"""Memory that does not suffice in the middle of a change to inverted lists."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.fuzz.test_fuzz_native import FUZZ
from tests.kernels.program import HERE, Program

IVF = ("coarse", "inverted_list", "ivf", "ivf_kernels_scalar", "ivf_search", "kmeans", "upkeep")
PROGRAM = Program(
    "g++",
    {
        source: []
        for source in (
            "thread_pool",
            "graph/rotation",
            "graph/graph_kernels_scalar",
            *(f"ivf/{source}" for source in IVF),
        )
    },
    ["-g", "-O1", "-Wno-mismatched-new-delete"],
    "GCC",
    driver=os.path.relpath(FUZZ / "no_memory_ivf.cpp", HERE),
)


def test_no_row_is_lost_by_an_allocation_that_fails(tmp_path: Path) -> None:
    command = PROGRAM.build(tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[:6_000]
    told = re.findall(r"^(\w+): (\d+) allocations, (\d+) thrown$", done.stdout, re.MULTILINE)
    assert [name for name, *_ in told] == ["add", "remove", "merge"]
    for _, n_allocations, n_thrown in told:
        assert int(n_allocations) > int(n_thrown) > 1
