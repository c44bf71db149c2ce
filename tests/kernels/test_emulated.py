"""The kernels in a program of their own: NEON, AVX-512 and AMX emulated, and under sanitizers."""

from __future__ import annotations

import numpy as np
import pytest
from driven import Case, run
from kernel_cases import (
    DIMS,
    PAIRS,
    check_distances,
    check_selection,
    draw_pair,
    drifting,
    special_rows,
)
from program import AMX_BY_C, AVX2, SIMDE, Program

from paradox import kernels
from paradox.core.metric import METRICS
from paradox.kernels import oracle

pytestmark = pytest.mark.slow

SHARED = ["scan", "refine", "encode", "certified", "thread_pool"]


def of(*names: str, **own_flags: list[str]) -> dict[str, list[str]]:
    """Return sources with the flags of some."""
    return {name: own_flags.get(name, []) for name in (*SHARED, *names)}


NEON = Program(
    "aarch64-linux-gnu-g++",
    of(
        "kernel_table",
        "kernels_neon",
        "kernels_scalar",
        "kernels_avx2",
        "kernels_avx512",
        "kernels_avx512vnni",
        "kernels_amx",
    ),
    ["-O3", "-static"],
    "g++-aarch64-linux-gnu and qemu-user",
    ("qemu-aarch64",),
)
EMULATED = of(
    "kernels_avx512",
    "kernels_avx512vnni",
    "kernels_amx",
    kernels_avx512=SIMDE,
    kernels_avx512vnni=SIMDE,
    kernels_amx=AMX_BY_C,
)
WIDE_TABLES = "-DPARADOX_TABLES=kernels_avx512,kernels_avx512vnni,kernels_amx"
AVX512 = Program(
    "g++",
    EMULATED,
    ["-O1", WIDE_TABLES],
    "libsimde-dev, and AVX2",
)
AVX512_ADDRESS = Program(
    "g++",
    EMULATED,
    ["-O1", "-g", "-fsanitize=address", WIDE_TABLES],
    "libsimde-dev, the address sanitizer of GCC, and AVX2",
)
X86 = of("kernels_avx2", "kernels_scalar", kernels_avx2=AVX2)
TABLES = "-DPARADOX_TABLES=kernels_avx2,kernels_scalar"
ADDRESS = Program(
    "g++",
    X86,
    ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", TABLES],
    "the address and undefined-behaviour sanitizers of GCC, and AVX2",
)
THREAD = Program(
    "g++",
    X86,
    ["-O1", "-g", "-fsanitize=thread", TABLES],
    "GCC's thread sanitizer, and AVX2",
)

RUNS = {
    "neon": (NEON, "neon"),
    "neon-scalar": (NEON, "scalar"),
    "avx512": (AVX512, "avx512"),
    "avx512vnni": (AVX512, "avx512vnni"),
    "amx": (AVX512, "amx"),
    "address-amx": (AVX512_ADDRESS, "amx"),
    "address-avx2": (ADDRESS, "avx2"),
    "address-scalar": (ADDRESS, "scalar"),
    "thread": (THREAD, "avx2"),
}


@pytest.fixture(scope="module")
def built() -> dict[int, list[str]]:
    return {}


@pytest.fixture(scope="module", params=RUNS)
def command(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    built: dict[int, list[str]],
) -> list[str]:
    """Build a program, once, and return how to run one of its levels."""
    program, isa = RUNS[request.param]
    if id(program) not in built:
        built[id(program)] = program.build(tmp_path_factory.mktemp("drive"))
    return [*built[id(program)], isa]


def test_every_shape_and_value_is_within_the_budget(command):
    singles, manys = [], []
    for dim in DIMS:
        for dtypes in PAIRS:
            queries, rows = draw_pair(1, 5, 15, dim, dtypes)
            rows = np.concatenate([rows, special_rows(dim, dtypes[1])])
            queries = np.concatenate([queries, special_rows(dim, dtypes[0])[::3]])
            for metric in METRICS:
                singles += [Case("distances", q[np.newaxis], rows, metric) for q in queries[::4]]
                manys.append(Case("top_k", queries, rows, metric, m=len(rows)))
    found = run(command, singles + manys)
    for case, distances in zip(singles, found[: len(singles)], strict=True):
        check_distances(distances[np.newaxis], case.queries, case.rows, case.metric)
        if case.queries.dtype == np.int8:
            same = kernels.distances(case.queries[0], case.rows, case.metric)
            np.testing.assert_array_equal(distances, same)
    for case, (positions, nearest) in zip(manys, found[len(singles) :], strict=True):
        distances = np.empty_like(nearest)
        np.put_along_axis(distances, positions, nearest, axis=1)
        check_distances(distances, case.queries, case.rows, case.metric)
        check_selection((positions, nearest), distances, case.m, np.ones(case.m, np.bool_))
        if case.queries.dtype == np.int8:
            same = kernels.top_k(case.queries, case.rows, case.m, case.metric)
            np.testing.assert_array_equal((positions, nearest), same)


def test_roundings_that_add_up_stay_within_the_bound(command):
    cases = []
    for dim in (17, 257, 3072, 65_536):
        for metric in METRICS:
            for query, rows in drifting(dim):
                asked = -query if metric == "l2" else query
                tiled = np.repeat(asked, 4, axis=0)
                cases.append(Case("distances", asked, rows, metric))
                cases.append(Case("top_k", tiled, rows[:1], metric, m=1))
    for case, found in zip(cases, run(command, cases), strict=True):
        distances = found[np.newaxis] if case.operation == "distances" else found[1]
        check_distances(distances, case.queries, case.rows, case.metric)


@pytest.mark.parametrize("dtypes", PAIRS[1::2], ids="-".join)
def test_the_nearest_are_found_by_many_threads(command, dtypes):
    allow = np.random.default_rng(2).random(5000) < 0.3
    for n_queries in (1, 5, 65):
        queries, rows = draw_pair(3, n_queries, 5000, 7, dtypes)
        rows[4000:] = rows[:1000]
        every = Case("top_k", queries, rows, "l2", m=5000)
        some = Case("top_k", queries, rows, "l2", m=30, threads=4, allow=allow)
        (positions, nearest), found = run(command, [every, some])
        distances = np.empty_like(nearest)
        np.put_along_axis(distances, positions, nearest, axis=1)
        check_selection(found, distances, 30, allow)


def test_bounds_hold_and_are_near(command):
    cases = []
    for dim in (*DIMS, 48, 64, 4096):
        for dtype in ("float32", "float16", "int8"):
            queries, rows = draw_pair(5, 5, 40, dim, ("float32", dtype))
            rows = np.concatenate([rows, special_rows(dim, dtype)])
            for metric in METRICS:
                cases.append(Case("lower_bounds", queries, rows, metric))
                cases.append(Case("lower_bounds", queries[:1], rows, metric))
    for case, lower in zip(cases, run(command, cases), strict=True):
        at = np.tile(np.arange(len(case.rows)), (len(case.queries), 1))
        assert not np.isnan(lower).any()
        exact = kernels.refine(case.queries, case.rows, at, case.metric)
        assert (lower <= exact).all()
        plain = slice(None, 40)
        limit = 32 if command[-1] in ("avx2", "avx512") else 127
        derived = oracle.lower_bounds(case.queries, case.rows[plain], case.metric, limit)
        size = np.add.outer(oracle.row_norms(case.queries), oracle.row_norms(case.rows[plain]))
        allowed = 2.0**-18 * (1 if case.metric == "cosine" else size**2) + 1e-15
        assert (np.abs(lower[:, plain] - derived) <= allowed).all()


def test_certified_answers_are_those_of_float64(command):
    cases = []
    for n_queries, threads in ((1, 1), (2, 3), (5, 1), (40, 3)):
        for dtype in ("float32", "int8"):
            queries, rows = draw_pair(6, n_queries, 9000, 19, ("float32", dtype))
            rows[8000:] = rows[:1000]
            allow = np.random.default_rng(7).random(9000) < 0.5
            for metric in METRICS:
                for mask in (None, allow):
                    case = Case("certified_top_k", queries, rows, metric, 9, threads, mask)
                    cases.append(case)
    for case, found in zip(cases, run(command, cases), strict=True):
        codes, ids = kernels.encode(case.rows, case.metric), np.arange(9000, 0, -1)
        expected = kernels.certified_top_k(
            case.queries, case.rows, codes, ids, 9, case.metric, allow=case.allow
        )
        assert found[2].all()
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_refinement_has_the_same_bits_as_here(command):
    refined, measured = [], []
    for dim in DIMS:
        for dtypes in PAIRS:
            queries, rows = special_rows(dim, dtypes[0]), special_rows(dim, dtypes[1])
            positions = np.random.default_rng(4).integers(-1, len(rows), (len(queries), 9))
            refined += [Case("refine", queries, rows, m, positions=positions) for m in METRICS]
            measured.append(Case("row_norms", queries, rows))
    found = run(command, refined + measured)
    for case, distances in zip(refined, found[: len(refined)], strict=True):
        same = kernels.refine(case.queries, case.rows, case.positions, case.metric)
        np.testing.assert_array_equal(distances, same)
    for case, norms in zip(measured, found[len(refined) :], strict=True):
        np.testing.assert_array_equal(norms, kernels.row_norms(case.rows))
