from __future__ import annotations

import subprocess
import sys

import pytest
from in_process import NoLauncher, settings

from paradox.cluster.backup import restore_collection, snapshot_collection
from paradox.cluster.catalog import Catalog
from paradox.cluster.sealed import write_sealed
from paradox.cluster.supervisor import Supervisor
from paradox.core.errors import InvalidArgument, SnapshotCorrupt
from paradox.core.making import in_the_making, remove_abandoned

MAKER = """
import sys, time
from pathlib import Path
from paradox.core.making import in_the_making

with in_the_making(Path(sys.argv[1])) as path:
    path.mkdir()
    (path / "half").write_text("x")
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def maker():
    """Start processes that begin to make a folder, and then wait."""
    started = []

    def start(place):
        command = [sys.executable, "-c", MAKER, str(place)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert started[-1].stdout.readline() == b"begun\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_what_is_made_gets_its_place_and_nothing_else_stays(tmp_path):
    with in_the_making(tmp_path / "deep" / "place") as path:
        path.mkdir()
        (path / "file").write_text("x")
        path.replace(tmp_path / "deep" / "place")
    assert names_in(tmp_path / "deep") == {"place"}
    with pytest.raises(FileNotFoundError), in_the_making(tmp_path / "deep" / "other") as path:
        (path / "file").touch()
    assert names_in(tmp_path / "deep") == {"place"}


def test_only_what_a_dead_maker_left_is_removed(maker, tmp_path):
    foreign = [tmp_path / ".git", tmp_path / ".a.0123456789abcdef", tmp_path / ".a.01234567"]
    for folder in foreign:
        folder.mkdir()
    (foreign[1] / "paradox.lock").touch()
    (foreign[2] / "notes").touch()
    alive, dead = maker(tmp_path / "place"), maker(tmp_path / "place")
    before = names_in(tmp_path)
    remove_abandoned(tmp_path)
    assert names_in(tmp_path) == before
    dead.kill()
    dead.wait()
    remove_abandoned(tmp_path)
    assert len(names_in(tmp_path)) == len(before) - 1
    alive.kill()
    alive.wait()
    remove_abandoned(tmp_path)
    assert names_in(tmp_path) == {folder.name for folder in foreign}
    remove_abandoned(tmp_path / "missing")


def test_a_supervisor_and_the_next_restore_remove_what_a_restore_left(maker, tmp_path):
    root = tmp_path / "root"
    supervisor = Supervisor(root, NoLauncher())
    papers = supervisor.create(settings(shards=1), None)

    def stage(folder):
        (folder / "shard-0").mkdir()
        (folder / "shard-0" / "engine.json").touch()

    snapshot_collection(root / "collections" / "papers", str(tmp_path / "copy"), stage)

    def begun(place):
        process = maker(place)
        process.kill()
        process.wait()

    begun(root / "collections" / "again")
    assert Catalog(root).get("papers").settings == papers.settings
    assert names_in(root / "collections") == {"papers"}

    elsewhere = tmp_path / "elsewhere" / "again"
    begun(elsewhere)
    alive = maker(elsewhere)
    restore_collection(str(tmp_path / "copy"), elsewhere, name="again", shards=None)
    assert len(names_in(elsewhere.parent)) == 2  # the other maker's, and ours
    with pytest.raises(InvalidArgument, match="is taken"):
        restore_collection(str(tmp_path / "copy"), elsewhere, name="again", shards=None)
    alive.kill()


def test_no_shard_is_copied_for_a_place_that_takes_no_snapshot(tmp_path):
    def stage(folder):
        pytest.fail("shards were copied")

    with pytest.raises(InvalidArgument, match="http"):
        snapshot_collection(tmp_path, "http://localhost:9/copy", stage)
    assert not names_in(tmp_path)


def test_a_snapshot_without_a_shard_is_refused(tmp_path):
    storage = tmp_path / "papers"
    storage.mkdir()
    write_sealed(storage / "collection.json", settings(shards=1))
    snapshot_collection(storage, str(tmp_path / "copy"), lambda folder: None)
    with pytest.raises(SnapshotCorrupt, match="no records of shard 0"):
        restore_collection(str(tmp_path / "copy"), tmp_path / "again", name="again", shards=None)
    assert names_in(tmp_path) == {"papers", "copy"}


def test_what_is_copied_survives_that_the_collection_is_loaded(tmp_path):
    supervisor = Supervisor(tmp_path / "root", NoLauncher())
    supervisor.create(settings(shards=1), None)
    storage = tmp_path / "root" / "collections" / "papers"

    def stage(folder):
        (folder / "shard-0").mkdir()
        Supervisor(tmp_path / "root", NoLauncher()).assign_ids("papers", 1)
        (folder / "shard-0" / "engine.json").touch()

    snapshot_collection(storage, str(tmp_path / "copy"), stage)
    restore_collection(str(tmp_path / "copy"), tmp_path / "again", name="again", shards=None)
