"""What native code reads of index files, damaged a hundred thousand times under the sanitizers.

`make fuzz` runs it in full. A run that fails is run again by `fuzz_graph RUN 1`, beside what is
built in pytest's temporary folder.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.programs import CHUNKS_APART, GRAPH, IVF, program
from tests.kernels.program import AVX2, Program

pytestmark = pytest.mark.slow

RUNS = int(os.environ.get("PARADOX_FUZZ_RUNS", "0"))
"""Of each; 0 runs for ten seconds."""

IS_X86 = platform.machine().lower() in {"x86_64", "amd64"}
LEVELS = {"scalar": [], **({"avx2": AVX2} if IS_X86 else {})}
FLAGS = [
    *("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    *("-D_GLIBCXX_ASSERTIONS", *(["-DPARADOX_AVX2"] if IS_X86 else [])),
]


def fuzzer(driver: str, *sources: str, kernels: tuple[str, ...]) -> Program:
    """Return how to build a fuzzer of these files, and of the kernels of levels that it tries."""
    return program(
        driver,
        *sources,
        kernels={f"{kind}_{level}": flags for kind in kernels for level, flags in LEVELS.items()},
        flags=FLAGS,
        needs="the address and undefined-behaviour sanitizers of GCC",
    )


PROGRAMS = {
    "graph": fuzzer("fuzz_graph", *GRAPH, CHUNKS_APART, kernels=("graph/graph_kernels",)),
    "ivf": fuzzer("fuzz_ivf", *IVF, kernels=("graph/graph_kernels", "ivf/ivf_kernels")),
}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", PROGRAMS)
def test_no_damage_makes_native_code_read_what_is_not_its_own(name: str, tmp_path: Path) -> None:
    command = PROGRAMS[name].build(tmp_path)
    limit = ["0", str(RUNS)] if RUNS else ["1000000", "1000000000", "10"]
    done = subprocess.run([*command, *limit], capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    assert done.returncode == 0, done.stderr[-6_000:]
    told = re.fullmatch(rf"{name}: (\d+) runs, (\d+) accepted, 0 crashes, \d+ s\n", done.stdout)
    assert told is not None
    assert int(told[1]) >= (RUNS or 200)
    assert 0.1 < int(told[2]) / int(told[1]) < 0.9
