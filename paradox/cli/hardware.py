"""What a machine has, as Linux tells it; elsewhere what can be told without."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

_EXTENSIONS = {
    "x86_64": ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "amx_int8"),
    "aarch64": ("asimd",),
}
"""Those that kernels are written for, by their names in `/proc/cpuinfo`."""
_MEMORY_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
_GPU_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine, as far as searches depend on it.

    Attributes:
        cores: those this process may run on.
        cache_bytes: size by name: L1d, L2, L3, of one core or shared.
        extensions: whether it has each instruction set that kernels are written for.
        huge_pages: when memory gets them: always, madvise or never; "" where that is not told.
        memory_bytes: what the machine has, or this container may take.
        shared_bytes: size of /dev/shm, where Ray keeps its objects; 0 where there is none.
        gpus: name, memory and driver of each NVIDIA GPU.
    """

    cpu: str
    cores: int
    cache_bytes: dict[str, int]
    extensions: dict[str, bool]
    huge_pages: str
    memory_bytes: int
    shared_bytes: int
    gpus: list[str]


def hardware(root: Path = Path("/"), architecture: str = platform.machine()) -> Hardware:
    """Return what this machine has; files are read below `root`."""
    described = _described(root)
    flags = (described.get("flags") or described.get("Features") or "").split()
    architecture = {"amd64": "x86_64", "arm64": "aarch64"}.get(architecture.lower(), architecture)
    modes = _text(root / "sys/kernel/mm/transparent_hugepage/enabled")
    return Hardware(
        cpu=described.get("model name") or platform.processor() or architecture,
        cores=_cores(),
        cache_bytes=_cache_bytes(root),
        extensions={name: name in flags for name in _EXTENSIONS.get(architecture, ()) if flags},
        huge_pages=modes.partition("[")[2].partition("]")[0],
        memory_bytes=_memory_bytes(root),
        shared_bytes=_size_bytes(root / "dev/shm"),
        gpus=_gpus(),
    )


def _described(root: Path) -> dict[str, str]:
    """Return what /proc/cpuinfo says of the first processor."""
    lines = _text(root / "proc/cpuinfo").partition("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache_bytes(root: Path) -> dict[str, int]:
    sizes = {}
    for folder in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(folder / name) for name in ("level", "type", "size"))
        if kind in ("Data", "Unified") and size.endswith("K"):
            sizes[f"L{level}{'d' if kind == 'Data' else ''}"] = int(size[:-1]) * 1024
    return sizes


def _memory_bytes(root: Path) -> int:
    limits = (_text(root / name) for name in _MEMORY_LIMITS)
    return min([psutil.virtual_memory().total, *(int(x) for x in limits if x.isdecimal())])


def _size_bytes(folder: Path) -> int:
    return psutil.disk_usage(str(folder)).total if folder.is_dir() else 0


def _gpus() -> list[str]:
    asked = "--query-gpu=name,memory.total,driver_version"
    try:
        done = subprocess.run(
            ["nvidia-smi", asked, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_GPU_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):  # no driver, or one that does not answer
        return []
    return done.stdout.splitlines()


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
