"""Memory that does not suffice in the middle of a change to inverted lists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.fuzz.programs import IVF, program

PROGRAM = program(
    "no_memory_ivf",
    *IVF,
    kernels={"graph/graph_kernels_scalar": [], "ivf/ivf_kernels_scalar": []},
    flags=["-g", "-O1", "-Wno-mismatched-new-delete"],
    needs="GCC",
)


def test_no_row_is_lost_by_an_allocation_that_fails(tmp_path: Path) -> None:
    command = PROGRAM.build(tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[:6_000]
    told = re.findall(r"^(\w+): (\d+) allocations, (\d+) thrown$", done.stdout, re.MULTILINE)
    assert [name for name, *_ in told] == ["add", "remove", "merge"]
    for _, n_allocations, n_thrown in told:
        assert int(n_allocations) > int(n_thrown) > 1
