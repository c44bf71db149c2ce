"""The command line as a user has it: a process for each command, a real Ray underneath.

`HOME` is new, so Ray's token is not there yet: what a fresh machine has.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import paradox.index
from paradox.adapt import encoders

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
            env={**environment, "HOME": str(home), "PARADOX_HOME": str(home / "data"), **extra},
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
        "title": [f"[bold]{i}[/x] list[str] \x1b[31m" for i in range(600)],
    }
    pq.write_table(pa.table(columns), path)
    return path, vectors


@pytest.fixture(scope="module")
def cluster(run, home):
    """A cluster that `paradox up` started."""
    code, said, complaint = run(PARADOX, "up", "--num-cpus", 2, "--json")
    assert code == 0, complaint
    started = json.loads(said)
    code, said, complaint = run(PARADOX, "up", "--num-cpus", 1)
    assert code == 0, complaint
    assert f"already at {started['address']}" in said
    yield started
    code, said, complaint = run(PARADOX, "down", "--json")
    assert code == 0, complaint
    assert json.loads(said)["stopped"]
    assert run(PARADOX, "down")[1] == "nothing runs that `paradox up` started\n"


@pytest.fixture(scope="module")
def papers(run, cluster, source):
    """A collection that `paradox ingest` filled."""
    ingest = (PARADOX, "ingest", source[0], "-c", "papers", "--dim", DIM)
    made = ("--shards", 2, "--index", "exact")
    columns = ("--vector-column", "embedding", "--id-column", "key", "--json")
    code, said, complaint = run(*ingest, *made, *columns)
    assert code == 0, complaint
    assert json.loads(said)["inserted"] == 600
    code, said, complaint = run(*ingest, *columns)
    assert code == 0, complaint
    again = json.loads(said)
    assert (again["rows"], again["rows_before"]) == (0, 600)
    return "papers"


def test_help_tells_commands_and_exit_codes(run):
    code, said, _ = run(PARADOX, "--help")
    assert code == 0
    for command in (
        "up",
        "down",
        "ingest",
        "query",
        "status",
        "snapshot",
        "restore",
        "bench",
        "doctor",
    ):
        assert f" {command} " in said
    for exit_code in ("2 if", "3 if", "4 if"):
        assert exit_code in said


def test_help_of_ingest_names_every_index_and_encoder(run):
    code, said, _ = run(PARADOX, "ingest", "--help", COLUMNS="500")
    assert code == 0
    for name in (*paradox.index.backends(), *encoders.names(), "l2", "ip", "cosine"):
        assert name in said


def test_doctor_tells_the_machine_and_what_is_missing(run, home):
    code, said, complaint = run(PARADOX, "doctor", "--json", PARADOX_ISA="scalar")
    assert code == 0, complaint
    found = json.loads(said)
    assert found["machine"]["cores"] >= 1
    assert (found["kernels"]["scan"], found["kernels"]["graph"]) == ("scalar", "scalar")
    assert found["storage"]["home"] == str(home / "data")
    code, said, complaint = run(PARADOX, "doctor", PARADOX_ISA="scalar", COLUMNS="500")
    assert code == 0, complaint
    assert "scans scalar, graph scalar, lists scalar, by PARADOX_ISA=scalar" in said
    for advice in found["advice"]:
        assert f"- {advice['missing']}: {advice['do']}" in said
    code, _, complaint = run(PARADOX, "doctor", PARADOX_ISA="sse9")
    assert code == 2
    assert "InvalidArgument: PARADOX_ISA: expected a level this machine has" in complaint


def test_the_version_is_told(run):
    assert run(PARADOX, "--version")[:2] == (0, f"paradox {paradox.__version__}\n")


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_connects_is_told_in_one_line(home, source, number):
    """The address is one where nothing answers, so that it goes on connecting."""
    with subprocess.Popen(
        [PARADOX, "ingest", source[0], "-c", "new", "--address", "127.0.0.1:1"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "HOME": str(home), "PARADOX_HOME": str(home / "data")},
    ) as process:
        maps = psutil.Process(process.pid).memory_maps
        while not any(Path(each.path).name == "_raylet.so" for each in maps()):
            assert process.poll() is None
        process.send_signal(number)
        said = process.stderr.read()  # of an import cut short Python may say more
        told = "stopping: rows that are in stay in, and the same command goes on from there"
        assert said.splitlines()[0] == told
        assert "***" not in said  # as Ray's stack trace has it
        assert process.wait() == 130


@pytest.mark.ray
def test_only_the_sentence_of_a_warning_is_printed(run, papers, tmp_path):
    pq.write_table(pa.table({"vector": pa.array([], pa.list_(pa.float32()))}), tmp_path / "no.pq")
    code, _, complaint = run(PARADOX, "ingest", tmp_path / "no.pq", "-c", papers)
    assert code == 0
    assert f"ingest: no rows in {tmp_path / 'no.pq'}" in complaint.splitlines()
    assert "Warning" not in complaint


@pytest.mark.ray
def test_up_makes_a_token_that_nobody_else_reads(cluster, home):
    token = home / ".ray" / "auth_token"
    assert cluster["with_token"]
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.ray
def test_who_has_no_token_is_refused(cluster):
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{cluster['dashboard_url']}/api/jobs/", timeout=30)


@pytest.mark.ray
def test_a_program_of_its_own_finds_the_cluster(run, papers):
    code, said, complaint = run(
        *(sys.executable, "-c"), "import paradox; print(paradox.connect().list())"
    )
    assert code == 0, complaint
    assert said == "['papers']\n"


@pytest.mark.ray
def test_what_was_ingested_is_found(run, papers, source):
    vectors = source[1]
    vector = json.dumps(vectors[7].tolist())
    query = (PARADOX, "query", "--vector", vector, "-k", 3, "--filter", "year = 2007")
    code, said, complaint = run(*query, "--json", "--explain")
    assert code == 0, complaint
    answer = json.loads(said)
    assert answer["collection"] == papers
    found = {"year": 2007, "title": "[bold]7[/x] list[str] \x1b[31m"}
    assert answer["hits"][0] == {"id": 21, "distance": 0.0, "payload": found}
    assert len(answer["hits"]) == 3
    assert answer["coverage"] == 1.0
    assert "asks 2 of 2 shards" in answer["plan"]  # a filter asks them all
    given = re.findall(r"(\d) from shard", answer["plan"])
    assert sum(map(int, given)) == 3
    code, said, _ = run(*query)
    assert code == 0
    assert "year   2007" in said
    assert "[bold]7[/x] list[str] \N{REPLACEMENT CHARACTER}[31m" in said
    assert "2 of 2 shards asked" in said


@pytest.mark.ray
def test_status_tells_shards_and_balance(run, papers):
    code, said, complaint = run(PARADOX, "status", "--json")
    assert code == 0, complaint
    figures = json.loads(said)["collections"][papers]
    assert figures["n_records"] == 600
    assert sum(shard["n_records"] for shard in figures["shards"].values()) == 600
    code, said, complaint = run(PARADOX, "status")
    assert (code, complaint) == (0, "")
    assert said.startswith("papers: 600 x 12, l2\n")


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
def test_a_collection_without_settings_is_told_of_and_can_be_dropped(run, papers, source, home):
    ingest = (PARADOX, "ingest", source[0], "-c", "hurt", "--vector-column", "embedding")
    code, _, complaint = run(*ingest, "--dim", DIM, "--shards", 1, "--json")
    assert code == 0, complaint
    settings = home / "data" / "collections" / "hurt" / "collection.json"
    settings.write_bytes(settings.read_bytes()[:-5])
    code, said, _ = run(PARADOX, "status", "--json")
    assert code == 4
    shown = json.loads(said)
    assert shown["collections"].keys() == {papers}
    assert shown["failed"]["hurt"]["error"] == "CorruptionError"
    code, _, complaint = run(PARADOX, "drop", "hurt", "--yes")
    assert code == 0, complaint
    assert run(PARADOX, "status", "-c", "hurt")[0] == 2


@pytest.mark.ray
def test_a_source_that_cannot_be_read_leaves_no_new_collection(run, papers, source, tmp_path):
    vectors = source[1].copy()
    vectors[17, 3] = np.nan
    pq.write_table(pa.table({"vector": list(vectors)}), tmp_path / "nan.parquet")
    code, _, complaint = run(PARADOX, "ingest", tmp_path / "nan.parquet", "-c", "new", "--dim", DIM)
    assert code == 2
    assert "row 17" in complaint
    assert json.loads(run(PARADOX, "status", "--json")[1])["collections"].keys() == {papers}
    code, _, complaint = run(PARADOX, "restore", "new", tmp_path / "nothing")
    assert code == 2
    assert "nothing is there" in complaint


@pytest.mark.ray
def test_the_job_script_is_the_same_command(run, papers, source):
    vector = json.dumps(source[1][9].tolist())
    code, said, complaint = run(
        sys.executable, "jobs/query.py", "--vector", vector, "-c", papers, "-k", 1, "--json"
    )
    assert code == 0, complaint
    assert json.loads(said)["hits"][0]["id"] == 27


@pytest.mark.ray
def test_the_ingest_script_is_the_same_command_too(run, papers, source):
    code, said, complaint = run(
        *(sys.executable, "jobs/ingest.py", source[0], "-c", papers),
        *("--vector-column", "embedding", "--id-column", "key", "--json"),
    )
    assert code == 0, complaint
    report = json.loads(said)
    assert (report["rows"], report["rows_before"]) == (0, 600)


@pytest.mark.ray
def test_a_submitted_job_asks_the_running_cluster(run, cluster, papers, source):
    vector = json.dumps(source[1][11].tolist())
    ray = Path(sys.executable).with_name("ray")
    code, said, complaint = run(
        *(ray, "job", "submit", "--address", cluster["dashboard_url"]),
        *("--working-dir", ROOT, "--", sys.executable, "jobs/query.py"),
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
        (["query", " "], "InvalidArgument", "expected a text; got ' '"),
        (["query", "x", "-k", 0], "InvalidArgument", "k: expected 1 to"),
        (["query", "x", "-c", "a/b"], "InvalidArgument", "name: expected 1 to 63"),
        (["drop", "a/b"], "InvalidArgument", "name: expected 1 to 63"),
        (["bench", "nothing"], "InvalidArgument", "expected one of exact, filters, index"),
        (["ingest", "none[/x].parquet", "-c", "new"], "SourceError", "none[/x].parquet"),
        (["ingest", "README.md", "-c", "new"], "SourceError", "a file that ends in .parquet"),
        (["ingest", "SOURCE", "-c", "a/b"], "InvalidArgument", "name: expected 1 to 63"),
        (["ingest", "SOURCE", "-c", "new", "--encoder", "x"], "UnknownEncoder", "got 'x'"),
        (["ingest", "SOURCE", "-c", "new", "--metric", "x"], "InvalidArgument", "metric: "),
        (["ingest", "SOURCE", "-c", "new", "--index", "x"], "UnknownBackend", "got 'x'"),
        (["ingest", "SOURCE", "-c", "new", "--shards", 0], "InvalidArgument", "shards: "),
        (
            ["ingest", "SOURCE", "-c", "new", "--dim", 3, "--vector-column", "embedding"],
            "SourceError",
            "row 0: column 'embedding': expected 3 values; got 12",
        ),
        (
            ["ingest", "SOURCE", "-c", "new", "--dim", DIM],
            "SourceError",
            "expected a column 'vector'; it has 'embedding', 'key', 'year', 'title'",
        ),
    ],
)
def test_wrong_commands_need_no_cluster_to_be_refused(run, source, command, error, message):
    given = [source[0] if part == "SOURCE" else part for part in command]
    code, said, _ = run(PARADOX, *given, "--json", RAY_ADDRESS="127.0.0.1:1")
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
        (["ingest", "SOURCE", "-c", "new"], "CollectionNotFound", "--dim or --encoder"),
        (
            ["ingest", "SOURCE", "-c", "papers", "--metric", "ip"],
            "CollectionExists",
            "metric: it has 'l2', asked for 'ip'",
        ),
    ],
)
def test_wrong_commands_say_what_is_wrong(run, papers, source, command, error, message):
    given = [source[0] if part == "SOURCE" else part for part in command]
    code, _, complaint = run(PARADOX, *given)
    assert code == 2
    assert f"{error}: " in complaint
    assert message in complaint.replace("\n", " ")
