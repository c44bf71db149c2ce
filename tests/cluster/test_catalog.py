from __future__ import annotations

import errno
import hashlib
import json

import msgspec
import pytest
from in_process import settings

from paradox.cluster import catalog as catalog_module
from paradox.cluster.catalog import Catalog
from paradox.cluster.names import check_collection_name
from paradox.cluster.sealed import read_sealed, write_sealed
from paradox.cluster.settings import SETTINGS_FILE, CollectionState
from paradox.core.errors import (
    CollectionExists,
    CollectionNotFound,
    CorruptionError,
    InvalidArgument,
)


@pytest.fixture
def catalog(tmp_path):
    return Catalog(tmp_path / "root")


@pytest.mark.parametrize("name", ["a", "A9", "my.docs_v2-x", "x" * 63])
def test_names_that_may_be(name):
    assert check_collection_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "_a", "ä", "x" * 64, "a\n", 7, None])
def test_names_that_may_not_be(name):
    with pytest.raises(InvalidArgument, match="name"):
        check_collection_name(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 0}, "dim"),
        ({"metric": "manhattan"}, "metric"),
        ({"shards": 0}, "shards"),
        ({"shards": True}, "shards"),
        ({"partition": "random"}, "partition"),
        ({"schema": {"year": "integer"}}, "schema"),
    ],
)
def test_settings_that_may_not_be(change, message):
    with pytest.raises(InvalidArgument, match=message):
        settings(**change)


def test_what_was_created_is_found_by_another_catalog(catalog, tmp_path):
    made = catalog.create(settings())
    again = Catalog(tmp_path / "root")
    assert again.names() == ["papers"]
    assert again.get("papers").settings == made.settings
    assert again.get("papers").storage == tmp_path / "root" / "collections" / "papers"


def test_creating_it_again_with_the_same_settings_returns_it(catalog):
    made = catalog.create(settings())
    again = catalog.create(settings())
    assert (made.created, again.created) == (True, False)
    assert again.settings.uid == made.settings.uid


def test_other_settings_are_told_each_with_both_values(catalog, tmp_path):
    catalog.create(settings())
    with pytest.raises(CollectionExists) as caught:
        catalog.create(settings(dim=9, metric="cosine"), tmp_path / "elsewhere")
    message = str(caught.value)
    assert "dim: it has 8, asked for 9" in message
    assert "metric: it has 'l2', asked for 'cosine'" in message
    assert "storage: it has" in message
    assert "index" not in message


def test_settings_not_asked_for_may_differ(catalog):
    catalog.create(settings(shards=4))
    assert catalog.create(settings(shards=2), unasked=("shards",)).settings.shards == 4


def test_a_storage_brings_its_collection_back(catalog, tmp_path):
    storage = tmp_path / "data"
    made = catalog.create(settings(), storage)
    catalog.remove("papers", keep_data=True)
    assert catalog.names() == []
    other = Catalog(tmp_path / "other")
    assert other.create(settings(), storage).settings.uid == made.settings.uid
    with pytest.raises(CollectionExists, match="dim"):
        Catalog(tmp_path / "third").create(settings(dim=9), storage)


def test_a_storage_of_another_collection_or_of_other_files_is_refused(catalog, tmp_path):
    catalog.create(settings(), tmp_path / "data")
    with pytest.raises(InvalidArgument, match="belongs to collection 'papers'"):
        catalog.create(settings("other"), tmp_path / "data")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidArgument, match=r"thesis\.tex"):
        catalog.create(settings("other"), tmp_path / "home")
    assert catalog.names() == ["papers"]


def test_removing_deletes_its_own_files_only(catalog, tmp_path):
    storage = catalog.create(settings(), tmp_path / "data").storage
    (storage / "shard-0" / "records").write_text("x")
    (storage / "note.txt").write_text("mine")
    catalog.remove("papers")
    assert [path.name for path in storage.iterdir()] == ["note.txt"]
    with pytest.raises(CollectionNotFound, match="papers"):
        catalog.get("papers")
    with pytest.raises(CollectionNotFound, match="papers"):
        catalog.remove("papers")


def test_a_drop_cut_short_is_finished_and_never_undone(catalog, tmp_path, monkeypatch):
    storage = catalog.create(settings()).storage

    def die(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Catalog, "_finish_drop", die)
    with pytest.raises(KeyboardInterrupt):
        catalog.remove("papers")
    monkeypatch.undo()
    assert Catalog(tmp_path / "root").names() == []
    assert not storage.exists()


def test_a_collection_made_after_a_drop_cut_short_is_empty(catalog, tmp_path, monkeypatch):
    storage = catalog.create(settings(), tmp_path / "data").storage
    (storage / "shard-0" / "records").write_text("x")
    monkeypatch.setattr("paradox.cluster.catalog._delete_data", lambda storage: None)
    catalog.remove("papers")
    monkeypatch.undo()
    assert catalog.create(settings(dim=9), storage).created
    assert not any((storage / "shard-0").iterdir())


def test_missing_or_damaged_settings_are_told(catalog):
    storage = catalog.create(settings()).storage
    path = storage / SETTINGS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"dim":8', b'"dim":9'))
    with pytest.raises(CorruptionError, match="checksum"):
        catalog.get("papers")
    path.unlink()
    with pytest.raises(CorruptionError, match="missing"):
        catalog.get("papers")
    catalog.remove("papers")  # what is damaged can still be dropped
    assert catalog.names() == []


def _with_bytes_that_are_no_text(whole):
    position = whole.index(b"papers")
    return whole[:position] + b"\xff" + whole[position + 1 :]


def _without_a_key(whole):
    content = json.loads(whole)["content"]
    del content["shards"]
    body = msgspec.json.encode(content)
    digest = hashlib.blake2b(body, digest_size=16).hexdigest()
    return msgspec.json.encode({"blake2b": digest, "content": msgspec.Raw(body)})


@pytest.mark.parametrize(
    "damaged",
    [
        lambda whole: b"",
        lambda whole: whole[:-9],
        lambda whole: b"shards: 4",
        lambda whole: b"[1, 2]",
        lambda whole: b'{"name": "papers", "dim": 8}',
        _with_bytes_that_are_no_text,
        _without_a_key,
    ],
)
def test_settings_that_are_none_say_where_they_are_and_what_to_do(catalog, damaged):
    path = catalog.create(settings()).storage / SETTINGS_FILE
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(CorruptionError) as caught:
        catalog.get("papers")
    message = str(caught.value)
    assert "expected" in message
    assert f"[{path}]" in message
    assert "bring the file back" in message
    assert "drop the collection" in message
    catalog.remove("papers")
    assert catalog.names() == []


@pytest.mark.parametrize("position", range(0, 90, 7))
def test_any_flipped_byte_of_a_sealed_file_is_noticed(tmp_path, position):
    path = tmp_path / "state.json"
    write_sealed(path, CollectionState(next_id=65536, columns={"year": "int"}))
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptionError):
        read_sealed(path, CollectionState, remedy="")


def test_a_truncated_sealed_file_is_noticed(tmp_path):
    path = tmp_path / "state.json"
    write_sealed(path, CollectionState(next_id=65536))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CorruptionError):
        read_sealed(path, CollectionState, remedy="")


def test_a_collection_that_could_not_be_noted_down_is_none(catalog, monkeypatch):
    def full(path, *parts):
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(catalog_module, "write_sealed", only_settings(full))
        with pytest.raises(OSError, match="no space"):
            catalog.create(settings())
    assert catalog.names() == []
    catalog.create(settings())
    assert Catalog(catalog.root).names() == ["papers"]


def only_settings(fails):
    """Write the settings of a collection, and nothing else."""
    return lambda path, value: (write_sealed if path.name == SETTINGS_FILE else fails)(path, value)


def test_a_making_that_was_cut_short_can_be_begun_again(catalog):
    settings().make_shard_folders(catalog.default_storage("papers"))
    entry = catalog.create(settings())
    shards = sorted(folder.name for folder in entry.storage.glob("shard-*"))
    assert shards == ["shard-0", "shard-1", "shard-2"]
