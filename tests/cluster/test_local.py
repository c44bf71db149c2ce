"""Starting and ending a cluster here: what is left when it does not work."""

from __future__ import annotations

import logging
import stat
import time

import msgspec
import psutil
import pytest
from ray._common import utils as ray_notes
from ray._private import utils as ray_paths
from ray._private.authentication import authentication_token_setup as token_setup

from paradox.cluster import local
from paradox.core.errors import RetryableError

GONE = local.LocalCluster("127.0.0.1:1", "", 2**22 + 1, 0.0, True)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PARADOX_HOME", str(tmp_path))
    monkeypatch.setattr(local, "_use_token", lambda: False)  # it changes this process for good
    return tmp_path


@pytest.fixture
def ray_note(monkeypatch):
    """What Ray noted down as the cluster to join."""
    note = [GONE.address]
    monkeypatch.setattr(ray_paths, "read_ray_address", lambda: note[0] if note else None)
    monkeypatch.setattr(ray_notes, "reset_ray_address", note.clear)
    return note


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Have another program started in Ray's place."""

    def program(*lines):
        path = tmp_path / "program"
        path.write_text("\n".join(("#!/bin/sh", *lines)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(local.sys, "executable", str(path))
        return path

    return program


def started_by(path):
    """Processes that run this program."""
    return [p for p in psutil.process_iter(["cmdline"]) if str(path) in (p.info["cmdline"] or [])]


def test_a_cluster_that_died_is_forgotten_by_us_and_by_ray(home, ray_note):
    record = home / "cluster.json"
    record.write_bytes(msgspec.json.encode(GONE))
    assert local.running() is None
    assert not record.exists()
    assert ray_note == []  # or `ray.init` would try to join it, for minutes


def test_another_cluster_that_ray_noted_down_stays_noted(home, ray_note):
    ray_note[0] = "127.0.0.1:2"
    (home / "cluster.json").write_bytes(msgspec.json.encode(GONE))
    assert local.running() is None
    assert ray_note == ["127.0.0.1:2"]


def test_that_a_token_is_asked_for_is_not_said_at_every_connect(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ray"), "propagate", True)  # Ray's start may end it
    token_setup._warn_token_auth_enabled()
    assert caplog.text == ""
    token_setup._warn_token_auth_disabled()
    assert "Token authentication is disabled" in caplog.text


def test_a_record_that_cannot_be_read_is_none(home):
    (home / "cluster.json").write_bytes(b"{")
    assert local.running() is None
    assert local.stop() is None


def test_what_ray_said_last_is_told(home, program):
    program("echo first", "echo the port is taken", "echo", "exit 1")
    with pytest.raises(RetryableError, match=r"the port is taken; all it said is in .*ray\.log"):
        local.start()
    assert not (home / "cluster.json").exists()


def test_ctrl_c_while_it_starts_leaves_nothing_running(home, program, monkeypatch):
    path = program("sleep 300 & wait")

    def interrupted(seconds):
        deadline = time.monotonic() + 30
        while not started_by(path) and time.monotonic() < deadline:
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr(local.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        local.start()
    assert not started_by(path)
    assert not (home / "cluster.json").exists()
