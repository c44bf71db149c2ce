"""`jobs/` as `ray job submit` runs them: from a folder of their own, on a cluster named to them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import ray
from processes import ROOT

pytestmark = pytest.mark.ray


@pytest.fixture
def run(client, tmp_path):
    """Run a job from a copy of the sources, as in the folder that Ray unpacks on the head."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("jobs", "benchmarks", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    address = ray.get_runtime_context().gcs_address

    def run(*command):
        return subprocess.run(
            [sys.executable, *command],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
            timeout=240,
            env={**os.environ, "RAY_ADDRESS": address},
        )

    return run


def test_a_benchmark_is_measured_by_a_task_and_its_report_printed(run, tmp_path):
    quick = ("exact", "--quick", "--json", "--by", "exact", "--n", "400", "--threads", "1")
    done = run("jobs/benchmark.py", *quick)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert (report["benchmark"], report["quick"], report["seed"]) == ("exact", True, 0)
    assert report["machine"]["threads"] == 1
    figures = {row["figure"]: row["value"] for row in report["rows"]}
    assert figures["recall@10"] == 1.0
    assert figures["QPS"] > 0
    assert not (tmp_path / "docs").exists()  # a quick run is kept nowhere


def test_a_benchmark_that_is_none_is_refused(run):
    done = run("jobs/benchmark.py", "nothing")
    assert done.returncode == 2
    assert "invalid choice: 'nothing'" in done.stderr
