"""What is stored comes back as it was, and a filter that writes it finds it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from paradox.memory import LatentMemoryEngine
from tests.memory.conftest import DIM

BERLIN, KATHMANDU = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")
VALUES = [
    *({"s": s} for s in ("", "it's", "a''b", 'say "x"', "back\\slash", "100%", "a_b", "tab\t\n")),
    *({"s": s} for s in ("\0x", "\U0001f600", "\u00e9", "e\u0301", " x ", "True", "1")),
    *({"n": n} for n in (0, 1, 2**63 - 1, -(2**63), 2**53, 2**53 + 1)),
    *({"x": x} for x in (-0.0, 5e-324, 1.7976931348623157e308, 0.1, float(np.float32(0.1)))),
    *({"b": b} for b in (True, False)),
    *({"t": datetime(year, 12, 31, 23, 59, 59, 999_999, UTC)} for year in (1, 1969, 9999)),
    *({"t": datetime(2024, 10, 27, 2, 30, fold=fold, tzinfo=BERLIN)} for fold in (0, 1)),
    {"l": []},
    {},
]


def literal(value):
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value).upper() if isinstance(value, bool) else repr(value)


def test_every_value_is_found_by_a_filter_that_writes_it(tmp_path, rng):
    vectors = rng.standard_normal((len(VALUES), DIM), dtype=np.float32)

    def found(engine, expression):
        ids = engine.query(vectors[0], k=len(VALUES), filter=expression).ids
        return sorted(ids[ids != -1].tolist())

    with LatentMemoryEngine.open(tmp_path / "engine", dim=DIM) as engine:
        engine.add(vectors, payload=VALUES)
    with LatentMemoryEngine.open(tmp_path / "engine") as engine:
        payloads = [record.payload for record in engine.get(np.arange(len(VALUES)))]
        assert payloads == [
            {c: v.astimezone(UTC) if c == "t" else v for c, v in row.items()} for row in VALUES
        ]
        for number, payload in enumerate(payloads):
            for column, value in payload.items():
                if value == []:
                    assert found(engine, f"ARRAY_LENGTH({column}) = 0") == [number]
                    continue
                wanted = literal(value)
                for expression in ("= {0}", "IN ({0})", "BETWEEN {0} AND {0}"):
                    assert found(engine, f"{column} {expression.format(wanted)}") == [number]
                assert found(engine, f"NOT {column} <> {wanted}") == [number]
                if column == "t" and value.year == 2024:
                    there = literal(value.astimezone(KATHMANDU))
                    assert found(engine, f"t = TIMESTAMP {there}") == [number]
