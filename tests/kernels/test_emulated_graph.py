"""The graph's kernels in a program of their own: every level has the bits of the scalar one.

`test_emulated.py` is the same for the scans. What this machine has is run as it is too.
"""

from __future__ import annotations

import platform
import re
import subprocess

import pytest
from program import SIMDE, Program

from paradox import kernels

pytestmark = pytest.mark.slow

DRIVER = "drive_graph.cpp"
AVX2 = ["-mavx2", "-mf16c"]
AVX512 = ["-mavx512f", "-mavx512bw", "-Wno-uninitialized", "-Wno-maybe-uninitialized"]
X86_FLAGS = {"avx2": AVX2, "avx512": AVX512, "avx512vnni": [*AVX512, "-mavx512vnni"]}


def of(*levels: str, flags: dict[str, list[str]] | None = None) -> dict[str, list[str]]:
    """Return the source files of levels, and of the scalar one, with their flags."""
    return {f"graph/graph_kernels_{level}": (flags or {}).get(level, []) for level in levels} | {
        "graph/graph_kernels_scalar": []
    }


CHOOSER: dict[str, list[str]] = {"graph/graph_kernels": []}
IS_X86 = platform.machine().lower() in {"x86_64", "amd64"}
HERE = Program(
    "g++",
    CHOOSER | of("neon", *X86_FLAGS, flags=X86_FLAGS if IS_X86 else None),
    ["-O3"],
    "g++",
    driver=DRIVER,
)
NEON = Program(
    "aarch64-linux-gnu-g++",
    CHOOSER | of("neon", *X86_FLAGS),
    ["-O3", "-static"],
    "g++-aarch64-linux-gnu and qemu-user",
    ("qemu-aarch64",),
    driver=DRIVER,
)
EMULATED = Program(
    "g++",
    of("avx512", "avx512vnni", flags={"avx512": SIMDE, "avx512vnni": SIMDE}),
    ["-O1", "-DPARADOX_TABLES=graph_kernels_avx512,graph_kernels_avx512vnni"],
    "libsimde-dev, and AVX2",
    driver=DRIVER,
)
ADDRESS = Program(
    "g++",
    of("avx2", flags=X86_FLAGS),
    [
        *("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        "-DPARADOX_TABLES=graph_kernels_avx2",
    ],
    "the address and undefined-behaviour sanitizers of GCC, and AVX2",
    driver=DRIVER,
)
EMULATED_ADDRESS = Program(
    "g++",
    EMULATED.sources,
    ["-g", "-fsanitize=address", *EMULATED.flags],  # SIMDe itself overflows signed integers
    f"the address sanitizer of GCC, and {EMULATED.needs}",
    driver=DRIVER,
)
RUNS = {
    **{f"{isa}-here": (HERE, isa) for isa in kernels.available()},
    "neon": (NEON, "neon"),
    "neon-scalar": (NEON, "scalar"),
    "avx512": (EMULATED, "avx512"),
    "avx512vnni": (EMULATED, "avx512vnni"),
    "address-avx2": (ADDRESS, "avx2"),
    "address-avx512": (EMULATED_ADDRESS, "avx512"),
    "address-avx512vnni": (EMULATED_ADDRESS, "avx512vnni"),
}


@pytest.fixture(scope="module")
def built() -> dict[int, list[str]]:
    return {}


@pytest.mark.parametrize("name", RUNS)
def test_every_kernel_has_the_bits_of_the_scalar_one(
    name: str, built: dict[int, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    program, isa = RUNS[name]
    if id(program) not in built:
        built[id(program)] = program.build(tmp_path_factory.mktemp("drive"))
    done = subprocess.run([*built[id(program)], isa], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{isa}: [1-9]\d{{3}} checked\n", done.stdout)
