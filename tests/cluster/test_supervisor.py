from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from in_process import NoLauncher, settings

from paradox.cluster.supervisor import Supervisor
from paradox.core.errors import (
    CollectionExists,
    CollectionNotFound,
    InvalidArgument,
    UnknownBackend,
)
from paradox.routing import partitioner_from_bytes


@pytest.fixture
def launcher():
    return NoLauncher()


@pytest.fixture
def supervisor(tmp_path, launcher):
    return Supervisor(tmp_path / "root", launcher)


def test_a_collection_is_started_when_made_and_when_got(supervisor, launcher):
    made = supervisor.create(settings(), None)
    assert supervisor.get("papers").settings == made.settings
    assert launcher.told == ["start papers", "start papers"]


def test_one_that_cannot_start_leaves_nothing_behind(supervisor, launcher, tmp_path):
    launcher.fails = UnknownBackend("no such index")
    with pytest.raises(UnknownBackend):
        supervisor.create(settings(index="nope"), None)
    assert supervisor.names() == []
    assert not (tmp_path / "root" / "collections" / "papers").exists()
    launcher.fails = None
    supervisor.create(settings(), None)


def test_more_shards_than_there_is_room_for_are_refused_before_anything_is_made(
    supervisor, launcher, tmp_path
):
    launcher.room = 2
    with pytest.raises(InvalidArgument, match="at most 2; got 3"):
        supervisor.create(settings(shards=3), None)
    assert launcher.told == []
    assert not (tmp_path / "root" / "collections").exists()
    with pytest.raises(InvalidArgument, match="at most 2; got 3"):
        supervisor.restore("papers", str(tmp_path / "none"), None, 3)
    supervisor.create(settings(shards=2), None)
    launcher.room = 1  # on a smaller cluster what there is still opens
    assert supervisor.create(settings(shards=2), None).settings.shards == 2


def test_one_that_was_there_stays_when_it_cannot_start(supervisor, launcher):
    supervisor.create(settings(), None)
    launcher.fails = UnknownBackend("package gone")
    with pytest.raises(UnknownBackend):
        supervisor.create(settings(), None)
    assert supervisor.names() == ["papers"]


def test_drop_ends_actors_before_the_data_go(supervisor, launcher):
    description = supervisor.create(settings(), None)
    supervisor.assign_ids("papers", 5)
    supervisor.drop("papers")
    assert launcher.told[-1] == "stop papers"
    with pytest.raises(CollectionNotFound):
        supervisor.get("papers")
    with pytest.raises(CollectionNotFound):
        supervisor.assign_ids("papers", 5)
    again = supervisor.create(settings(), None)
    assert again.settings.uid != description.settings.uid
    assert supervisor.assign_ids("papers", 1) == 0


def test_what_is_shared_survives_the_supervisor(supervisor, tmp_path):
    supervisor.create(settings(), None)
    last = supervisor.assign_ids("papers", 10)
    supervisor.declare("papers", {"year": "int"})
    sample = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    trained = supervisor.train("papers", sample)
    supervisor.begin_source("papers", "key", "f", 100, "way", assign=True, afresh=False)
    supervisor.finish_rows("papers", "key", "way", [(0, 40)])
    again = Supervisor(tmp_path / "root", NoLauncher())
    assert again.assign_ids("papers", 1) > last
    assert again.get("papers").columns == {"year": "int"}
    assert again.partitioner("papers") == trained
    assert again.known_source("papers", "key").left("way") == [(40, 100)]


def test_the_first_type_of_a_column_stays(supervisor):
    supervisor.create(settings(), None)
    assert supervisor.declare("papers", {"a": "int"}) == {"a": "int"}
    assert supervisor.declare("papers", {"a": "str", "b": "str"}) == {"a": "int", "b": "str"}


def test_a_closed_schema_stays_closed(supervisor):
    supervisor.create(settings(schema={"a": "int"}), None)
    assert supervisor.declare("papers", {"b": "str"}) == {"a": "int"}


def test_the_partitioner_is_trained_once(supervisor):
    supervisor.create(settings(), None)
    assert supervisor.partitioner("papers") is None
    rng = np.random.default_rng(0)
    first = supervisor.train("papers", rng.standard_normal((300, 8)).astype(np.float32))
    again = supervisor.train("papers", rng.standard_normal((300, 8)).astype(np.float32))
    assert first == again
    assert partitioner_from_bytes(first).n_shards == 3


def test_restore_refuses_a_name_that_is_taken(supervisor, tmp_path):
    supervisor.create(settings(), None)
    with pytest.raises(CollectionExists, match="drop it first"):
        supervisor.restore("papers", str(tmp_path / "snapshot"), None, None)


def test_only_the_empty_collection_that_is_meant_is_discarded(supervisor, launcher):
    made = supervisor.create(settings(), None)
    assert made.created
    again = supervisor.create(settings(), None)
    assert (again.created, again.settings.uid) == (False, made.settings.uid)
    assert not supervisor.discard("papers", "of another")
    launcher.is_empty = False
    assert not supervisor.discard("papers", made.settings.uid)
    assert supervisor.names() == ["papers"]
    launcher.is_empty = True
    assert supervisor.discard("papers", made.settings.uid)
    assert launcher.told[-2:] == ["close papers if empty", "stop papers"]
    with pytest.raises(CollectionNotFound):
        supervisor.discard("papers", made.settings.uid)


def test_one_snapshot_of_a_collection_is_taken_at_a_time(supervisor, launcher, tmp_path):
    supervisor.create(settings(), None)
    staging, most = [], []

    def stage(_, folder):
        staging.append(folder)
        most.append(len(staging))
        time.sleep(0.05)
        staging.remove(folder)

    launcher.stage = stage
    threads = [
        threading.Thread(target=supervisor.snapshot, args=("papers", str(tmp_path / str(n))))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]
