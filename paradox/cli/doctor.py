"""`paradox doctor`: what the machine has, what Paradox makes of it, and what is missing."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from paradox.cli.connection import AsJson
from paradox.core import config
from paradox.printing import print_json, printable, reporting

if TYPE_CHECKING:
    from paradox.cli.hardware import Hardware

_REQUIRED = ("paradox", "ray", "numpy", "polars", "rocksdict", "hnswlib")
_LEAST_FREE_BYTES = 2**30
_RAY_SHARE = 0.3
"""Of the memory, what Ray's object store takes; on the disk where /dev/shm is smaller."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of instruction sets.

    Attributes:
        scan: level of the scans in use.
        graph: level of the graph's kernels in use; not all levels have their own.
        lists: level of the inverted lists' kernels in use.
        available: levels of this machine, the best first.
        forced: what PARADOX_ISA names, or None.
    """

    scan: str
    graph: str
    lists: str
    available: tuple[str, ...]
    forced: str | None


@dataclass(frozen=True, slots=True)
class Extra:
    """A package that is needed for something only.

    Attributes:
        brings: what to install.
        instead: another package that serves.
    """

    purpose: str
    brings: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where collections lie that are created without `storage=`."""

    home: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Advice:
    """Something missing or slower than it need be, and what to do about it."""

    missing: str
    do: str


def doctor(as_json: AsJson = False) -> None:
    """Show what this machine has, which kernels run on it, and what is missing."""
    from paradox.cli.hardware import hardware

    with reporting(as_json):
        machine, levels, packages, storage = hardware(), levels_in_use(), versions(), data()
        ray = running_at()
        advice = list(advise(machine, levels, packages, storage))
        if as_json:
            print_json(
                {
                    "machine": machine,
                    "kernels": levels,
                    "packages": packages,
                    "ray_address": ray,
                    "storage": storage,
                    "advice": advice,
                }
            )
        else:
            _print(machine, levels, packages, storage, ray)
            for item in advice:
                print(printable(f"- {item.missing}: {item.do}"))
            if not advice:
                print("Nothing is missing.")


def advise(
    machine: Hardware, levels: Levels, packages: dict[str, str | None], storage: Storage
) -> Iterator[Advice]:
    """Yield what would make searches faster, or is needed for something."""
    best = levels.available[0]
    if levels.forced not in (None, best):
        yield Advice(
            f"kernels run at level {levels.scan}, and the machine has {best}", "unset PARADOX_ISA"
        )
    if best == "scalar":
        yield Advice(
            "the processor has no instruction set that kernels are written for, so they are plain "
            "C++",
            "use an arm64 processor, or one with AVX2, FMA and F16C",
        )
    if machine.huge_pages == "never":
        yield Advice(
            "memory is in small pages, read a fifth slower by scans (docs/exact.md)",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        )
    if machine.shared_bytes < _RAY_SHARE * machine.memory_bytes and machine.shared_bytes:
        yield Advice(
            f"/dev/shm has {_size(machine.shared_bytes)}, less than Ray's object store takes "
            f"({_RAY_SHARE:.0%} of the memory), so that it lies on the disk",
            "make it larger; in a container, by --shm-size",
        )
    if storage.free_bytes < _LEAST_FREE_BYTES:
        yield Advice(
            f"{storage.home} has {_size(storage.free_bytes)} free, and writes fail when it is full",
            "free some, or set PARADOX_HOME",
        )
    for name, extra in extras().items():
        if packages[name] is None:
            yield Advice(f"{extra.purpose} lacks a package", f"pip install '{extra.brings}'")


def levels_in_use() -> Levels:
    """Return the levels in use and those there are."""
    from paradox.kernels.graph import empty_graph
    from paradox.kernels.ivf import empty_lists
    from paradox.kernels.level import available, isa

    graph = empty_graph(32, "l2", degree=32, build_effort=1, seed=0)
    lists = empty_lists(32, "l2", seed=0)
    return Levels(isa(), graph.isa, lists.isa, available(), config.isa())


def extras() -> dict[str, Extra]:
    """Return what is needed for something only."""
    from paradox.adapt.encoders import minilm, use

    return {
        "faiss": Extra("the index `ivfpq`", "faiss-cpu", "faiss-gpu"),
        "torch": Extra("the encoder `minilm-l6-v2`", "torch"),
        minilm.PACKAGE: Extra("the encoder `minilm-l6-v2`", f"{minilm.PACKAGE}=={minilm.VERSION}"),
        use.PACKAGE: Extra("the encoder `use-multilingual-v3`", f"{use.PACKAGE}=={use.VERSION}"),
        "lance": Extra("ingest from Lance", "pylance"),
    }


def versions() -> dict[str, str | None]:
    """Return the versions of what Paradox needs, and of what it can use: None if not installed."""
    found = {"python": platform.python_version(), **{name: _version(name) for name in _REQUIRED}}
    for name, extra in extras().items():
        packages = (extra.brings.partition("==")[0], extra.instead)
        found[name] = next(filter(None, map(_version, packages)), None)
    return found


def data() -> Storage:
    """Return where data go, and how much room there is."""
    home = config.home()
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    return Storage(str(home), shutil.disk_usage(there).free)


def running_at() -> str | None:
    """Return the address of the cluster that `paradox up` started, or None."""
    from paradox.cluster import local

    cluster = local.running()
    return cluster.address if cluster else None


def _version(package: str) -> str | None:
    if not package:
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _print(
    machine: Hardware,
    levels: Levels,
    packages: dict[str, str | None],
    storage: Storage,
    ray: str | None,
) -> None:
    caches = [f"{name} {_size(size)}" for name, size in machine.cache_bytes.items()]
    has = [name for name, present in machine.extensions.items() if present]
    lacks = [name for name, present in machine.extensions.items() if not present]
    forced = f", by PARADOX_ISA={levels.forced}" if levels.forced else ""
    lines = {
        "processor": ", ".join([machine.cpu, f"{machine.cores} cores", *caches]),
        "extensions": f"{' '.join(has) or 'none'}{'; not ' if lacks else ''}{' '.join(lacks)}",
        "memory": f"{_size(machine.memory_bytes)}; /dev/shm {_size(machine.shared_bytes)}; "
        f"huge pages: {machine.huge_pages or 'not told'}",
        "GPU": "; ".join([*machine.gpus, "no index uses one yet"]) if machine.gpus else "none",
        "kernels": f"scans {levels.scan}, graph {levels.graph}, lists {levels.lists}{forced}; "
        f"there are {', '.join(levels.available)}",
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items() if version),
        "Ray": f"runs at {ray}" if ray else "not started by `paradox up`",
        "data": f"{storage.home}, {_size(storage.free_bytes)} free",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in lines.items():
        table.add_row(Text(name, style="dim"), Text(printable(value)))
    Console().print(table)


def _size(n_bytes: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}".replace(".0 ", " ")
    return f"{n_bytes / 2**10:,.0f} KiB"
