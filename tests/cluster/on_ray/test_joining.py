"""Into a Ray cluster, beside one that does not answer: an error in time, which says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest
import ray
from processes import NAMESPACE, ROOT

import paradox
from paradox.cluster import joining
from paradox.core.errors import DeadlineExceeded, InvalidArgument

pytestmark = pytest.mark.ray

JOINS = """
import json, sys
import paradox
from paradox.core.errors import ParadoxError

for address in sys.argv[1:]:
    try:
        paradox.connect(address=address, timeout_s=2)
    except ParadoxError as error:
        print(json.dumps([type(error).__name__, str(error)]), flush=True)
"""


@contextmanager
def halted_head():
    """Halt the head of this process's cluster, as one does that is ending."""
    children = psutil.Process().children(recursive=True)
    (head,) = (process for process in children if "gcs_server" in process.name())
    head.suspend()
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        head.resume()


def joined(*addresses, **environment):
    """Try to join clusters from a process of its own; return the errors."""
    done = subprocess.run(
        [sys.executable, "-c", JOINS, *addresses],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def test_a_head_that_no_longer_answers_is_told_in_time(client):
    with halted_head() as address:
        with pytest.raises(DeadlineExceeded, match=f"{address} to answer within 1 s"):
            paradox.connect(namespace=NAMESPACE, timeout_s=1)
        for error, message in joined(address, "127.0.0.1:1"):
            assert error == "DeadlineExceeded"
            assert "to answer within 2 s; got nothing; it may be ending, or gone" in message
            assert "RAY_ADDRESS" in message
    assert paradox.connect(namespace=NAMESPACE).list() == client.list()


def test_who_has_no_token_is_told_at_once(client, tmp_path):
    address = ray.get_runtime_context().gcs_address
    ((error, message),) = joined(address, RAY_AUTH_MODE="disabled", HOME=str(tmp_path))
    assert error == "RetryableError"
    assert "set RAY_AUTH_MODE=token" in message


def test_another_cluster_than_that_of_this_process_is_refused(client):
    here = ray.get_runtime_context().gcs_address
    port = here.rpartition(":")[2]
    for other in ("10.255.255.1:6379", f"10.255.255.1:{port}", "127.0.0.1:1"):
        with pytest.raises(InvalidArgument, match=f"or {here}, which .*; got {other}"):
            paradox.connect(namespace=NAMESPACE, address=other)
    for same in (here, f"localhost:{port}", "auto"):
        assert paradox.connect(namespace=NAMESPACE, address=same).list() == client.list()


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:port"])
def test_what_is_no_address_is_refused(monkeypatch, address):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InvalidArgument, match=f"expected host:port; got '{address}'"):
        paradox.connect(address=address)


def test_a_cluster_that_only_a_note_is_left_of_is_not_waited_for_long(monkeypatch, caplog):
    started = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: started.append(options))
    monkeypatch.setattr(joining.config, "ray_address", lambda: None)
    monkeypatch.setattr(joining.local, "running", lambda: None)
    monkeypatch.setattr(joining, "read_ray_address", lambda: "127.0.0.1:1")
    assert joining.join(None, 3, timeout_s=0.5)
    assert [(options["address"], options["num_cpus"]) for options in started] == [("local", 3)]
    assert "127.0.0.1:1 to answer within 0.5 s" in caplog.text
