"""The command line as a user has it: a process for each command, a real Ray underneath."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parent.parent
PARADOX = Path(sys.executable).with_name("paradox")
DIM = 12


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(home):
    """Run a command; return its exit code, its output, and what it wrote to stderr."""

    def run(*command, **extra):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=240,
            env={**environment, "PARADOX_HOME": str(home), **extra},
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A Parquet file of 600 vectors."""
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((600, DIM), dtype=np.float32)
    path = tmp_path_factory.mktemp("source") / "papers.parquet"
    columns = {
        "embedding": list(vectors),
        "key": np.arange(600) * 3,
        "year": [2000 + i % 20 for i in range(600)],
    }
    pq.write_table(pa.table(columns), path)
    return path, vectors


@pytest.fixture(scope="module")
def cluster(run, home):
    """A cluster that `paradox up` started."""
    code, said, complaint = run(PARADOX, "up", "--num-cpus", 2, "--json")
    assert code == 0, complaint
    yield json.loads(said)
    code, said, complaint = run(PARADOX, "down", "--json")
    assert code == 0, complaint
    assert json.loads(said)["stopped"]
    assert run(PARADOX, "down")[1] == "nothing runs that `up` started\n"


@pytest.fixture(scope="module")
def papers(run, cluster, source):
    """A collection that `paradox ingest` filled."""
    ingest = (PARADOX, "ingest", source[0], "-c", "papers", "--dim", DIM, "--shards", 2)
    columns = ("--vector-column", "embedding", "--id-column", "key", "--json")
    code, said, complaint = run(*ingest, *columns)
    assert code == 0, complaint
    assert json.loads(said)["inserted"] == 600
    code, said, complaint = run(*ingest, *columns)
    assert code == 0, complaint
    again = json.loads(said)
    assert (again["rows"], again["rows_before"]) == (0, 600)
    return "papers"


def test_without_a_cluster_help_is_quick_and_whole(run):
    code, said, _ = run(PARADOX, "--help")
    assert code == 0
    for command in ("up", "down", "ingest", "query", "status", "snapshot", "restore", "bench"):
        assert f" {command} " in said


@pytest.mark.ray
def test_what_was_ingested_is_found(run, papers, source):
    vectors = source[1]
    vector = json.dumps(vectors[7].tolist())
    query = (PARADOX, "query", "--vector", vector, "-k", 3, "--filter", "year = 2007")
    code, said, complaint = run(*query, "--json", "--explain")
    assert code == 0, complaint
    answer = json.loads(said)
    assert answer["collection"] == papers
    assert answer["hits"][0] == {"id": 21, "distance": 0.0, "payload": {"year": 2007}}
    assert len(answer["hits"]) == 3
    assert answer["coverage"] == 1.0
    assert "shards" in answer["plan"]
    code, said, _ = run(*query)
    assert code == 0
    assert "2007" in said
    assert "of 2 shards asked" in said


@pytest.mark.ray
def test_status_tells_shards_and_balance(run, papers):
    code, said, complaint = run(PARADOX, "status", "--json")
    assert code == 0, complaint
    figures = json.loads(said)["collections"][papers]
    assert figures["n_records"] == 600
    assert sum(shard["n_records"] for shard in figures["shards"].values()) == 600
    code, said, _ = run(PARADOX, "status")
    assert code == 0
    assert "papers: 600 x 12, l2" in said


@pytest.mark.ray
def test_a_snapshot_comes_back_on_another_number_of_shards(run, papers, tmp_path):
    code, _, complaint = run(PARADOX, "snapshot", papers, tmp_path / "copy", "--json")
    assert code == 0, complaint
    restore = (PARADOX, "restore", "again", tmp_path / "copy", "--shards", 3, "--json")
    code, said, complaint = run(*restore)
    assert code == 0, complaint
    assert json.loads(said) == {"collection": "again", "n_records": 600}
    assert run(*restore)[0] == 2
    code, said, complaint = run(PARADOX, "drop", "again", "--yes", "--json")
    assert code == 0, complaint
    assert json.loads(run(PARADOX, "status", "--json")[1])["collections"].keys() == {papers}


@pytest.mark.ray
def test_the_job_script_is_the_same_command(run, papers, source):
    vector = json.dumps(source[1][9].tolist())
    code, said, complaint = run(
        sys.executable, "jobs/query.py", "--vector", vector, "-c", papers, "-k", 1, "--json"
    )
    assert code == 0, complaint
    assert json.loads(said)["hits"][0]["id"] == 27


@pytest.mark.ray
def test_a_submitted_job_asks_the_running_cluster(run, cluster, papers, source):
    vector = json.dumps(source[1][11].tolist())
    ray = Path(sys.executable).with_name("ray")
    code, said, complaint = run(
        *(ray, "job", "submit", "--address", cluster["dashboard_url"]),
        *("--working-dir", ROOT / "jobs", "--", sys.executable, "query.py"),
        *("--vector", vector, "-c", papers, "-k", 1, "--json"),
        RAY_AUTH_MODE="token",
    )
    assert code == 0, complaint + said
    answer = next(line for line in said.splitlines() if line.startswith('{"hits"'))
    assert json.loads(answer)["hits"][0]["id"] == 33


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        (["query"], "InvalidArgument", "a text or --vector"),
        (["query", "--vector", "[1, "], "InvalidArgument", "expected a JSON list"),
        (["bench", "nothing"], "InvalidArgument", "benchmarks/nothing.py"),
    ],
)
def test_wrong_commands_need_no_cluster_to_be_refused(run, command, error, message):
    code, said, _ = run(PARADOX, *command, "--json")
    assert code == 2
    complaint = json.loads(said)
    assert complaint["error"] == error
    assert message in complaint["message"]


@pytest.mark.ray
@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        (["query", "--vector", "[1, 2]"], "DimensionMismatch", "expected dimension 12; got 2"),
        (["query", "x", "-c", "nothing"], "CollectionNotFound", "'nothing' is not there"),
        (["ingest", "none.parquet", "-c", "papers"], "SourceError", "none.parquet"),
    ],
)
def test_wrong_commands_say_what_is_wrong(run, papers, command, error, message):
    code, _, complaint = run(PARADOX, *command)
    assert code == 2
    assert f"{error}: " in complaint
    assert message in complaint.replace("\n", " ")
