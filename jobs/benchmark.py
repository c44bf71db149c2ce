"""Run a benchmark as a Ray task, on a node that has the cores it asks for.

    python jobs/benchmark.py exact --quick
    ray job submit --working-dir . -- python jobs/benchmark.py index --data manifold-128 --json

What follows the name goes to the benchmark: `python -m benchmarks.<name> --help` lists it. The
report is printed, and that of a full run kept, where this job runs.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import ray

from paradox.cli.benchmark import NAMES

if TYPE_CHECKING:
    from benchmarks.report import Benchmark, Report


def measure(name: str, given: argparse.Namespace) -> Report:
    """Run `benchmarks.<name>`; in a worker."""
    return find(name).run(given)


def find(name: str) -> Benchmark:
    """Return a benchmark of this checkout."""
    benchmark: Benchmark = import_module(f"benchmarks.{name}").BENCHMARK
    return benchmark


def main() -> None:
    """Submit the benchmark, wait for it, and print what it found."""
    root = str(Path(__file__).resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)  # benchmarks are not installed; Ray passes this on to workers
    parser = argparse.ArgumentParser(description="run a benchmark as a Ray task", add_help=False)
    parser.add_argument("name", choices=NAMES)
    named, arguments = parser.parse_known_args()
    given = find(named.name).options(arguments)
    ray.init()
    task = ray.remote(measure).options(num_cpus=given.threads, max_retries=0)
    report: Report = ray.get(task.remote(named.name, given))
    report.publish(as_json=given.json, output=given.output)


if __name__ == "__main__":
    main()
