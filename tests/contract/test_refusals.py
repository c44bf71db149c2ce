"""What every index refuses, with nothing changed: arrays and numbers of the wrong kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paradox import index
from paradox.core.errors import InvalidArgument
from paradox.index import IndexBackend
from tests.contract.backends import DIM, MAKES, Make, vectors

N = 500
IDS = np.arange(N)
V = vectors(N)
FORMS = MAKES | {
    "graph-none": Make("graph", {"keep": "none"}),
    "ivf-none": Make("ivf", {"keep": "none"}),
}
CHECKS_AND_CONVERTS = {"ivf", "ivf-none"}

Use = Callable[[Any], Any]  # of an index, with what its signature does not allow
ALWAYS: dict[str, tuple[Use, str]] = {
    "more ids than vectors": (lambda i: i.add(IDS + N, V[:1]), r"ids: expected 1, .*; got 500"),
    "more vectors than ids": (lambda i: i.add(IDS[:3], V[:5]), r"ids: expected 5, .*; got 3"),
    "vectors too short": (
        lambda i: i.add(IDS[:3], np.zeros((3, DIM // 2), np.float32)),
        "vectors: expected dimension 16; got 8",
    ),
    "ids of floats": (lambda i: i.add(IDS[:2] / 2, V[:2]), "ids: expected int.*; got float64"),
    "removed ids of floats": (lambda i: i.remove(IDS / 2), "ids: expected int.*; got float64"),
    "queries too short": (
        lambda i: i.search(V[:2, : DIM // 2], 3),
        "queries: expected dimension 16; got 8",
    ),
    "k of none": (lambda i: i.search(V[:2], 0), "k: expected 1 to .*; got 0"),
    "k of a float": (lambda i: i.search(V[:2], 3.0), "k: expected an integer; got 3.0"),
    "no threads": (lambda i: i.search(V[:2], 3, threads=0), "threads: expected 1 to .*; got 0"),
    "a mask of what is allowed": (
        lambda i: i.search(V[:2], 3, allow=np.ones(N, np.bool_)),
        r"allow: expected int64 of shape \(n,\); got bool",
    ),
    "a recall beyond all": (lambda i: i.tune(V[:50], 10, 2.0), r"recall: .* got 2\.0"),
    "a recall of nothing": (lambda i: i.tune(V[:50], 10, 0), "recall: .* got 0"),
    "a range around a short query": (
        lambda i: i.range_search(V[0, :8], 3.0, limit=2),
        "query: expected dimension 16; got 8",
    ),
}
UNLESS_CONVERTED: dict[str, tuple[Use, str]] = {
    "float64 vectors": (
        lambda i: i.add(IDS[:2], V[:2].astype(np.float64)),
        r"vectors: expected float32 of shape \(n, 16\); got float64 of shape \(2, 16\)",
    ),
    "float64 queries": (
        lambda i: i.search(V[:2].astype(np.float64), 3),
        "queries: expected float32",
    ),
    "int32 ids": (
        lambda i: i.add(IDS[:2].astype(np.int32), V[:2]),
        r"ids: expected int64 of shape \(n,\); got int32 of shape \(2,\)",
    ),
    "a list of ids": (lambda i: i.remove([1, 2]), "ids: expected int64.*; got a list"),
    "a range around a matrix": (
        lambda i: i.range_search(V[:1], 3.0, limit=2),
        r"query: expected float32 of shape \(16,\); got float32 of shape \(1, 16\)",
    ),
}


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def filled(form: str) -> IndexBackend:
    made = FORMS[form]()
    made.add(IDS, V)
    return made


@pytest.mark.parametrize("what", ALWAYS | UNLESS_CONVERTED)
def test_what_cannot_be_is_refused_and_changes_nothing(
    form: str, filled: IndexBackend, what: str, tmp_path: Path
) -> None:
    if what in UNLESS_CONVERTED and form in CHECKS_AND_CONVERTS:
        pytest.skip("it converts what can be")
    use, message = (ALWAYS | UNLESS_CONVERTED)[what]
    with pytest.raises(InvalidArgument, match=message):
        use(filled)
    assert len(filled) == N
    filled.save(tmp_path / "kept")
    assert len(index.load(tmp_path / "kept")) == N


@pytest.mark.parametrize("form", sorted(CHECKS_AND_CONVERTS))
@pytest.mark.parametrize("what", UNLESS_CONVERTED)
def test_lists_that_stand_by_themselves_convert_what_can_be(form: str, what: str) -> None:
    made = FORMS[form]()
    made.add(IDS, V)
    UNLESS_CONVERTED[what][0](made)
