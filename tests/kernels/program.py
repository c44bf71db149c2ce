"""Programs around the kernels, built for a level that this machine may lack, or for a sanitizer."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NATIVE = HERE.parent.parent / "cython_ext"
FLAGS = ["-std=c++17", "-ffp-contract=off", "-pthread", "-Wall", "-Wextra", "-Werror"]
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
SIMDE = [*AVX2, "-include", f"{HERE}/avx512_by_simde.hpp", "-Wno-psabi"]
AMX_BY_C = [*SIMDE, "-include", f"{HERE}/amx_by_c.hpp"]


@dataclass(frozen=True)
class Program:
    """How to build a driver of the kernels.

    Attributes:
        sources: source files of `cython_ext/src`, each with flags of its own.
        flags: flags of all files and of the linker.
        runner: emulator to run it by.
        needs: Debian packages of what it takes, for the reason of a skip.
        driver: the source file of the driver, beside this one.
    """

    compiler: str
    sources: dict[str, list[str]]
    flags: list[str]
    needs: str
    runner: tuple[str, ...] = ()
    driver: str = "drive.cpp"

    def build(self, folder: Path) -> list[str]:
        """Return the command that runs it; skips the test where something is missing."""
        missing = [tool for tool in (self.compiler, *self.runner) if shutil.which(tool) is None]
        if missing:
            pytest.skip(f"needs {self.needs}: no {', '.join(missing)}")
        self._probe(folder)
        objects = []
        for source, flags in self.sources.items():
            objects.append(f"{folder}/{Path(source).name}.o")
            self._compile([*FLAGS, *flags, "-c", f"{NATIVE}/src/{source}.cpp", "-o", objects[-1]])
        program = f"{folder}/drive"
        self._compile([*FLAGS, f"{HERE}/{self.driver}", *objects, "-o", program])
        return [*self.runner, program]

    def _probe(self, folder: Path) -> None:
        """Skip where a program that does nothing cannot be built or run with the same flags."""
        source = folder / "probe.cpp"
        source.write_text("int main() { return 0; }\n")
        flags = [flag for flags in self.sources.values() for flag in flags]
        command = [self.compiler, *self.flags, *flags, str(source), "-o", f"{folder}/probe"]
        for step in (command, [*self.runner, f"{folder}/probe"]):
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"needs {self.needs}: {(done.stdout + done.stderr)[:300]}")

    def _compile(self, arguments: list[str]) -> None:
        command = [self.compiler, f"-I{NATIVE}/include", *self.flags, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
