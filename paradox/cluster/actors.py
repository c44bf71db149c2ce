"""Calls to Ray actors: many at once, one deadline, errors in the terms of Paradox."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import ray
from ray.exceptions import GetTimeoutError, RayError

from paradox.cluster.failures import translated
from paradox.core.errors import ParadoxError

ActorHandle: TypeAlias = Any
ActorMethod: TypeAlias = Any
Ref: TypeAlias = Any


def actor_class(cls: type, *, concurrency: dict[str, int]) -> Any:
    """Return a class as a Ray actor class that runs so many calls of each group at once.

    Untyped, because Ray's own type hints know neither groups nor names.
    """
    remote: Any = ray.remote
    return remote(concurrency_groups=concurrency, num_cpus=0)(cls)


def logical_cpus() -> int:
    """Return the CPUs that the Ray cluster offers, at least 1."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(resources.get("CPU", 1)))


def cpus_of_nodes() -> list[float]:
    """Return the CPUs that each live node of the Ray cluster offers."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"].get("CPU", 0.0) for node in nodes if node["Alive"]]


def free_cpus() -> float:
    """Return the CPUs of the Ray cluster that nothing has taken."""
    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
    return free.get("CPU", 0.0)


def call(ref: Ref, who: str, *, timeout_s: float | None = None) -> Any:
    """Return the result of one call.

    Args:
        ref: what `.remote()` returned.
        who: whom it was asked of, for messages.
        timeout_s: how long to wait, None for as long as it takes.

    Raises:
        ParadoxError: what the actor raised, or what became of the actor.
    """
    try:
        return ray.get(ref, timeout=timeout_s)
    except RayError as error:
        raise translated(error, who) from None


def gather(
    refs: Mapping[int, Ref], who: Callable[[int], str], *, timeout_s: float
) -> dict[int, Any | ParadoxError]:
    """Return the results of calls that are under way, each with its result or error.

    Args:
        refs: number to what `.remote()` returned.
        who: number to whom it was asked of, for messages.
        timeout_s: how long to wait for all together. What has not come by then is given up, so
            that it does not pile up in front of an actor that hangs.
    """
    pending = list(refs.values())
    deadline = time.monotonic() + timeout_s
    try:
        return dict(zip(refs, ray.get(pending, timeout=timeout_s), strict=True))
    except RayError:
        pass  # one of them failed, or is late: look at each
    ray.wait(pending, num_returns=len(pending), timeout=max(deadline - time.monotonic(), 0))
    return {number: _result(ref, who(number)) for number, ref in refs.items()}


def _result(ref: Ref, who: str) -> Any:
    try:
        return ray.get(ref, timeout=0)
    except GetTimeoutError as error:
        ray.cancel(ref)
        return translated(error, who)
    except RayError as error:
        failure = translated(error, who)
        if isinstance(failure, ParadoxError):
            return failure
        raise
