"""Libraries compiled for the machine that they are measured on, by `make peers`.

What is installed beside Paradox runs on any machine, as a virtual environment may move from one to
another. A folder in it holds what does not, and a stamp says for which processor that was compiled;
on another one nothing is taken from it.

    python -m benchmarks.native [--stamp]   ends with 0 if there is an hnswlib for this processor
"""

from __future__ import annotations

import argparse
import platform
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

FOLDER = Path(sys.prefix) / "native"
STAMP = "processor.txt"


def cpu_model() -> str:
    """Return what the processor is called."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def processor() -> str:
    """Return the name of the processor and what it can do: a host may call two kinds the same."""
    return f"{cpu_model()}\n{' '.join(sorted(_cpuinfo('flags').split()))}\n"


def is_native(library: str, folder: Path = FOLDER) -> bool:
    """Return whether the folder has the installed version of a library for this processor.

    Raises:
        PackageNotFoundError: the library is not installed, for whatever machine.
    """
    wanted = metadata.version(library)
    stamp = folder / STAMP
    if not stamp.is_file() or stamp.read_text() != processor():
        return False
    there = metadata.distributions(name=library, path=[str(folder)])
    return any(one.version == wanted for one in there)


def version(library: str, folder: Path = FOLDER) -> str:
    """Return the version of what `imported` takes: `0.8.0`, or `0.8.0 native` of the folder's."""
    return metadata.version(library) + " native" * is_native(library, folder)


def imported(library: str, folder: Path = FOLDER) -> Any:
    """Return a library, that of the folder if there is the same version of it for this processor.

    A process has one of the two: the one it imported first.
    """
    if not is_native(library, folder):
        return import_module(library)
    sys.path.insert(0, str(folder))
    try:
        return import_module(library)
    finally:
        sys.path.remove(str(folder))


def _cpuinfo(name: str) -> str:
    """Return what Linux says of the first processor, "" where it says nothing."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.partition("\t")[0] == name:
                return line.partition(":")[2].strip()
    return ""


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> None:
    """Say by the exit status whether hnswlib need not be compiled; stamp the folder if told."""
    parser = argparse.ArgumentParser(description="libraries compiled for this machine")
    parser.add_argument("--stamp", action="store_true", help="they were compiled just now")
    if parser.parse_args(arguments).stamp:
        (folder / STAMP).write_text(processor())
    sys.exit(0 if is_native("hnswlib", folder) else 1)


if __name__ == "__main__":
    main()
