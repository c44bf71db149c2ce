"""How this process gets into a Ray cluster: the one it is in, one that is there, or a new one."""

from __future__ import annotations

import logging
import os
import socket
import time
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import ray
from ray._private.authentication.authentication_token_setup import (
    maybe_enable_token_auth_if_token_available,
)
from ray._private.utils import read_ray_address
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RpcError
from ray.util.client import ray as ray_client

from paradox.cluster import local
from paradox.core import config
from paradox.core.errors import DeadlineExceeded, InvalidArgument, RetryableError

_LOG = logging.getLogger(__name__)

_TOKEN_REMEDY = (
    "one that asks for a token answers nobody without it: set RAY_AUTH_MODE=token, and the token "
    "as Ray's documentation says"
)


def join(address: str | None, num_cpus: int | None, *, timeout_s: float) -> bool:
    """Join a Ray cluster, or start one; see `paradox.connect` for which.

    Args:
        address: of the cluster to join, or None.
        num_cpus: logical CPUs of one that is started; None offers the machine's.
        timeout_s: how long a cluster that is there has to answer.

    Returns:
        Whether it was started here.

    Raises:
        InvalidArgument: the address is none, or not that of the cluster this process is in.
        RetryableError: the cluster named, or the one that this process is in, does not answer.
    """
    if ray.is_initialized():
        # Ray Client has its own way to the cluster, and its timeout.
        if not ray_client.is_connected():  # type: ignore[no-untyped-call]
            here = ray.get_runtime_context().gcs_address
            _check_same(address, here)
            check_answers(here, timeout_s=timeout_s)
        return False
    named = address or config.ray_address()
    if named is None and (running := local.running()) is not None:
        named = running.address
        # Ray looks for this user's token only where it is left to find the cluster itself.
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    if named is not None:
        _join_named(named, timeout_s)
        return False
    noted = read_ray_address()  # `ray start` has left a cluster here, or only the note of one
    if noted is not None:
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        try:
            check_answers(noted, timeout_s=timeout_s)
            _init()
            return False
        except (RetryableError, ConnectionError) as error:
            _LOG.warning(
                "starting a Ray cluster, as the one noted on this machine is gone: %s", error
            )
    _init(address="local", num_cpus=num_cpus or os.cpu_count() or 1)
    return True


def _check_same(address: str | None, here: str) -> None:
    """Refuse an address that is not that of the cluster this process is in."""
    if address in (None, "auto") or "://" in address or _place(address) == _place(here):
        return
    raise InvalidArgument(
        f"address: expected none, or {here}, which this process has joined; got {address}; "
        "`ray.shutdown()` leaves a cluster"
    )


def _place(address: str) -> tuple[str, str]:
    """Return what two ways to write an address have in common."""
    host, _, port = address.rpartition(":")
    try:
        ip = socket.gethostbyname(host)
    except OSError:
        ip = host
    return "this machine" if ip.startswith("127.") or ip == _own_ip() else ip, port


def _own_ip() -> str:
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return address


def check_answers(address: str, *, timeout_s: float) -> None:
    """Make sure that the head of a Ray cluster answers this process.

    `ray.init` itself would try for ten minutes, and other calls for one, beside a cluster that is
    ending.

    Raises:
        DeadlineExceeded: no answer came in time.
        RetryableError: the head asks for a token that this process does not have.
    """
    outcome: SimpleQueue[Exception | None] = SimpleQueue()
    # Ray gives an attempt 30 to 40 s, and no way to end it: the thread outlives a shorter timeout.
    Thread(target=_ask, args=(address, timeout_s, outcome), name="probe", daemon=True).start()
    try:
        failure = outcome.get(timeout=timeout_s)
    except Empty:
        failure = TimeoutError("nothing")
    if isinstance(failure, AuthenticationError):
        raise RetryableError(
            f"connect: expected the Ray cluster at {address} to let this process in; it does not; "
            + _TOKEN_REMEDY
        ) from failure
    if failure is not None:
        raise DeadlineExceeded(
            f"connect: expected the Ray cluster at {address} to answer within {timeout_s:g} s; got "
            f"{failure}; it may be ending, or gone: start it again, name another by address= or "
            "RAY_ADDRESS, or give it longer by timeout_s="
        ) from failure


def _ask(address: str, timeout_s: float, outcome: SimpleQueue[Exception | None]) -> None:
    """Call the head until it answers, and put None, or why it did not."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            GcsClient(address=address)
        except RpcError as error:
            if time.monotonic() < deadline:
                continue
            outcome.put(error)
        except Exception as error:
            outcome.put(error)
        else:
            outcome.put(None)
        return


def _join_named(address: str, timeout_s: float) -> None:
    if address not in ("auto", "local") and "://" not in address:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise InvalidArgument(f"address: expected host:port; got {address!r}")
        check_answers(address, timeout_s=timeout_s)
    try:
        _init(address=address)
    except ConnectionError as error:
        raise RetryableError(
            f"no Ray cluster answers this process at {address}; {_TOKEN_REMEDY}"
        ) from error


def _init(**options: Any) -> None:
    ray.init(logging_level=logging.WARNING, log_to_driver=False, **options)
