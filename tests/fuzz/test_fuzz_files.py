"""Index files of every backend, damaged: told as such, or an index that answers as one should.

The checksums of damaged files are made anew, so that what is behind them is reached. What faiss and
hnswlib parse themselves is left alone: only the checksum keeps damage from them (ADR 0004).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox import index
from paradox.core.errors import IndexFileCorrupt
from paradox.index.container import read_container, read_kind, write_container

DIM = 8
ODD_VALUES: list[Any] = [
    *(None, True, "", "l2", "none", [], {}, [1], {"x": 1}, 0.5, -0.0, 1e300, -1e-300),
    *(-(2**63), -1, 0, 1, 2, 31, 33, 127, 128, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**64),
]
ODD_INTEGERS = [-(2**63), -2, -1, 0, 1, 63, 64, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1]


@dataclass(frozen=True)
class Case:
    """An index that is saved, and what of its file another library parses.

    Attributes:
        n: vectors, so many that there is a structure.
        not_sections: sections that are left alone.
        not_fields: fields that are.
    """

    backend: str
    n: int
    options: dict[str, Any] = field(default_factory=dict)
    metric: str = "l2"
    not_sections: tuple[str, ...] = ()
    not_fields: tuple[str, ...] = ()


HNSW = (
    *("label_lookup_external", "label_lookup_internal", "element_levels", "link_lists"),
    *("edges", "stale_points"),
)
CASES = {
    "exact": Case("exact", 300),
    "exact-float16": Case("exact", 300, {"dtype": "float16", "codes": True}, "cosine"),
    "exact-int8": Case("exact", 300, {"dtype": "int8"}, "ip"),
    "graph": Case("graph", 300),
    "graph-ip": Case("graph", 300, {"codes": False}, "ip"),
    "graph-compact": Case("graph", 300, {"compact": True, "keep": "float16"}, "cosine"),
    "graph-none": Case("graph", 300, {"keep": "none"}, "ip"),
    "auto": Case("auto", 300, {"exact_below": 200}, "cosine"),
    "ivf": Case("ivf", 2_100),
    "ivf-none": Case("ivf", 300, {"keep": "none"}, "ip"),
    "ivf-float16": Case("ivf", 2_100, {"keep": "float16"}, "cosine"),
    "hnsw": Case("hnsw", 300, {"ef_construction": 20}, "l2", HNSW, ("structure", "options")),
    "ivfpq": Case("ivfpq", 5_200, {}, "cosine", ("faiss",), ("options",)),
}


def vectors(n: int, seed: int) -> Any:
    drawn = np.random.default_rng(seed).integers(-100, 100, (n, DIM)).astype(np.float32)
    drawn[:, 0] += 200 * (drawn == 0).all(axis=1)
    return drawn


@cache
def saved(name: str, folder: Path) -> Path:
    """Return the file of an index with free slots and stale labels."""
    case = CASES[name]
    made = index.create(case.backend, dim=DIM, metric=case.metric, **case.options)
    ids = np.random.default_rng(2).permutation(case.n) * 3
    made.add(ids, vectors(case.n, 0))
    made.add(ids[:10], vectors(10, 1))
    made.remove(ids[10:30])
    made.save(folder / f"{name}.pdx")
    return folder / f"{name}.pdx"


class Damage:
    """What may happen to a file whose checksums are then made to fit."""

    def __init__(self, case: Case, drawn: random.Random) -> None:
        self._case = case
        self._random = drawn

    def of(self, fields: dict[str, Any], sections: dict[str, bytes]) -> None:
        for _ in range(self._random.choice([1, 1, 1, 2, 3])):
            if self._random.random() < 0.4:
                self._of_a_field(fields)
            else:
                self._of_a_section(sections)

    def _of_a_field(self, fields: dict[str, Any]) -> None:
        places = [(fields, key) for key in fields if key not in self._case.not_fields]
        for parent, key in places:
            inner = parent[key]
            if isinstance(inner, dict):
                places += [(inner, name) for name in inner if name not in self._case.not_fields]
        parent, key = self._random.choice(places)
        how = self._random.random()
        if how < 0.15:
            parent.pop(key, None)
        elif how < 0.25:
            parent[str(self._random.choice(["x", "lists", "labels", ""]))] = 1
        else:
            parent[key] = copy.deepcopy(self._random.choice(ODD_VALUES))

    def _of_a_section(self, sections: dict[str, bytes]) -> None:
        names = [name for name in sections if name not in self._case.not_sections]
        if not names:
            return
        name, other = self._random.choice(names), self._random.choice(names)
        data = bytearray(sections[name])
        ways: list[Callable[[bytearray], Any]] = [
            self._flip,
            self._flip,
            self._put,
            self._put,
            self._put,
            self._repeat,
            self._cut,
            lambda data: data.extend(data[-8:] * self._random.randrange(1, 5)),
            lambda data: data.__setitem__(slice(None), sections[other]),
            lambda data: data.clear(),
        ]
        self._random.choice(ways)(data)
        sections[name] = bytes(data)
        if self._random.random() < 0.05:
            del sections[name]

    def _flip(self, data: bytearray) -> None:
        for _ in range(self._random.choice([1, 1, 8])):
            if data:
                data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _put(self, data: bytearray) -> None:
        width = self._random.choice([2, 4, 8])
        if len(data) < width:
            return
        at = self._random.randrange(len(data) // width) * width
        if width > 2 and self._random.random() < 0.4:
            odd = self._random.choice([np.nan, np.inf, -np.inf, 3e38, -1.0, 1e-45, 1e200])
            with np.errstate(over="ignore", under="ignore"):
                value = np.array(odd, f"<f{width}").tobytes()
        else:
            whole = self._random.choice([*ODD_INTEGERS, self._random.randrange(6_000)])
            value = (whole % 2 ** (8 * width)).to_bytes(width, "little")
        data[at : at + width] = value

    def _repeat(self, data: bytearray) -> None:
        width = self._random.choice([4, 8, 64])
        if len(data) < 2 * width:
            return
        at, to = (self._random.randrange(len(data) // width) * width for _ in range(2))
        data[to : to + width] = data[at : at + width]

    def _cut(self, data: bytearray) -> None:
        width = self._random.choice([1, 4, 8, 4 * DIM, 8 * DIM])
        if data:
            del data[self._random.randrange(len(data)) // width * width :]


def use(path: Path, mmap: bool, seed: int) -> None:
    """Load a file, and use what was accepted in every way there is."""
    made: Any = index.load(path, mmap=mmap)
    if made.dim != DIM:
        return
    check(made, seed)
    made.add(np.arange(10**6, 10**6 + 20), vectors(20, seed))
    check(made, seed)
    made.remove(made.ids()[::3] if hasattr(made, "ids") else np.arange(0, 300, 3))
    check(made, seed)
    made.save(path)
    again = index.load(path)
    assert len(again) == len(made)


def check(made: Any, seed: int) -> None:
    """Ask for the nearest, with and without a filter."""
    live = made.ids() if hasattr(made, "ids") else None
    for allow in (None, np.arange(0, 900, 6)):
        found = made.search(vectors(3, seed), 5, effort=8, allow=allow)
        for ids, distances in zip(found.ids, found.distances, strict=True):
            real = ids[ids != -1]
            assert len(set(real.tolist())) == len(real)
            assert live is None or np.isin(real, live).all()
            assert allow is None or np.isin(real, allow).all()
            assert (np.sort(distances) == distances).all()


def fuzz(name: str, seeds: range, folder: Path) -> int:
    """Return how many of the damaged files were accepted."""
    whole, path = saved(name, folder), folder / "damaged.pdx"
    kind = read_kind(whole)
    n_accepted = n_refused = 0
    for seed in seeds:
        fields, views = read_container(whole)
        sections = {section: bytes(view) for section, view in views.items()}
        drawn = random.Random(seed)
        Damage(CASES[name], drawn).of(fields, sections)
        try:
            write_container(path, kind, fields, sections)
        except (OverflowError, ValueError):  # JSON has no such number
            continue
        try:
            use(path, drawn.random() < 0.5, seed)
            n_accepted += 1
        except IndexFileCorrupt as error:
            n_refused += str(path) in str(error)
        except BaseException as error:
            error.add_note(f"{name}: of seed {seed}")
            raise
    assert n_refused > 0
    return n_accepted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", CASES)
def test_a_file_whose_parts_do_not_fit_is_told_as_damaged(name: str, folder: Path) -> None:
    fuzz(name, range(150), folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_many_files_whose_parts_do_not_fit(name: str, folder: Path) -> None:
    n_accepted = fuzz(name, range(1_000, 4_000), folder)
    print(f"{name}: {n_accepted} of 3000 accepted")


@pytest.mark.parametrize("name", CASES)
def test_no_damage_passes_the_checksums(name: str, folder: Path) -> None:
    whole, path = saved(name, folder).read_bytes(), folder / "raw.pdx"
    drawn = random.Random(3)
    for _ in range(150):
        data = bytearray(whole)
        begin = drawn.randrange(len(data))
        end = min(begin + drawn.choice([1, 2, 8, 64, 4_096]), len(data))
        way = drawn.randrange(4)
        if way == 0:
            del data[begin:end]
        elif way == 1:
            data[begin:begin] = data[begin:end]
        elif way == 2:
            data[begin:end] = drawn.randbytes(end - begin)
        else:
            to = drawn.randrange(len(data))
            data[begin:end] = data[to : to + end - begin]
        if data == whole:
            continue
        path.write_bytes(data)
        with pytest.raises(IndexFileCorrupt, match=r"raw\.pdx"):
            index.load(path, mmap=drawn.random() < 0.5)
