"""The demo, small, as a user has it: a process of its own, on a machine where nothing runs yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from examples import demo

ROOT = Path(__file__).parent.parent.parent


def left_running(home):
    """Processes that were started with this HOME."""
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == str(home):
                left.append(process.name())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return left


@pytest.mark.ray
def test_a_small_demo_answers_well_and_leaves_nothing_running(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", "--limit", "600", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=280,
        env={**environment, "HOME": str(tmp_path), "PARADOX_HOME": str(tmp_path / "data")},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["documents"] == 600
    assert [answer["question"] for answer in found["answers"]] == list(demo.QUESTIONS)
    for answer in found["answers"]:
        assert len(answer["found"]) == demo.K
        assert 1 <= answer["shards_touched"] <= demo.SHARDS
    assert found["quality"]["recall_at_10"] >= demo.RECALL_GOAL
    assert not found["kept"]
    deadline = time.monotonic() + 30  # Ray's processes end a moment after their driver
    while (left := left_running(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left


def test_exact_is_the_oracle_it_says():
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = demo.exact(vectors[:5], vectors, 3)
    for row, query in zip(nearest, vectors[:5], strict=True):
        assert set(row) == set(np.argsort(-(vectors.astype(np.float64) @ query))[:3])
