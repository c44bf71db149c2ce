from __future__ import annotations

import numpy as np
import pytest

from paradox.memory import LatentMemoryEngine

DIM = 16


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(params=["volatile", "durable"])
def make_engine(request, tmp_path):
    """Make engines of either kind; close them at the end."""
    made = []

    def make(**options):
        options = {"dim": DIM, **options}
        if request.param == "volatile":
            engine = LatentMemoryEngine(options.pop("dim"), **options)
        else:
            engine = LatentMemoryEngine.open(tmp_path / f"engine{len(made)}", **options)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()
