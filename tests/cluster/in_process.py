"""A collection and its cluster in this process: the classes inside the actors, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from paradox.cluster.searcher import Searcher
from paradox.cluster.settings import CollectionSettings, make_settings
from paradox.cluster.shard import Shard, ShardConfig
from paradox.cluster.supervisor import Supervisor
from paradox.cluster.writer import Writer
from paradox.core.errors import InvalidArgument, ParadoxError

DIM = 8


def settings(name: str = "papers", **changes: Any) -> CollectionSettings:
    given: dict[str, Any] = {
        "dim": DIM,
        "metric": "l2",
        "index": "exact",
        "index_options": None,
        "shards": 3,
        "partition": "semantic",
        "encoder": None,
        "encoder_id": "",
        "schema": None,
    }
    return make_settings(name, **(given | changes))


class LocalShards:
    """Shards in this process, behind the calls of `RayShards`.

    Attributes:
        fails: called with shard and method before each call; what it raises, the call raises.
    """

    def __init__(self, shards: list[Shard]) -> None:
        self.shards = shards
        self.calls: list[tuple[str, int]] = []
        self.fails: Callable[[int, str], None] = lambda shard, method: None

    def ask_all(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], *, timeout_s: float
    ) -> dict[int, Any]:
        results = {}
        failures = []
        for shard, args in arguments.items():
            try:
                self.calls.append((method, shard))
                self.fails(shard, method)
                results[shard] = getattr(self.shards[shard], method)(*args)
            except ParadoxError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return results

    def search(self, requests: Mapping[int, Any], *, timeout_s: float) -> dict[int, Any]:
        return self._each({shard: ("search", (r,)) for shard, r in requests.items()})

    def summaries(self, known: Mapping[int, Any], *, timeout_s: float) -> dict[int, Any]:
        return self._each(dict.fromkeys(range(len(self.shards)), ("summary", (None,))))

    def _each(self, calls: Mapping[int, tuple[str, tuple[Any, ...]]]) -> dict[int, Any]:
        replies: dict[int, Any] = {}
        for shard, (method, args) in calls.items():
            try:
                self.fails(shard, method)
                replies[shard] = getattr(self.shards[shard], method)(*args)
            except ParadoxError as error:
                replies[shard] = error
        return replies


class NoLauncher:
    """Starts nothing; notes what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fails: Exception | None = None
        self.room = 100
        self.is_empty = True

    def check_room(self, n_shards: int) -> None:
        if n_shards > self.room:
            raise InvalidArgument(f"shards: expected at most {self.room}; got {n_shards}")

    def start(self, entry: Any) -> None:
        self.told.append(f"start {entry.settings.name}")
        if self.fails is not None:
            raise self.fails

    def stop(self, name: str) -> None:
        self.told.append(f"stop {name}")

    def closed_if_empty(self, settings: Any) -> bool:
        self.told.append(f"close {settings.name} if empty")
        return self.is_empty

    def stage(self, settings: Any, folder: Path) -> None:
        raise NotImplementedError


class LocalCollection:
    """What a client has of a collection, all in this process."""

    def __init__(self, settings: CollectionSettings, supervisor: Supervisor) -> None:
        self.settings = settings
        self.supervisor = supervisor
        self.storage = Path(supervisor.create(settings, None).storage)
        self.shards = LocalShards([self.shard(number) for number in range(settings.shards)])

    def shard(self, number: int) -> Shard:
        return Shard(ShardConfig(self.settings, str(self.storage), number))

    def client(self) -> tuple[Writer, Searcher]:
        """Return the parts of one more client."""
        searcher = Searcher(self.shards, self.settings)
        columns = self.supervisor.get(self.settings.name).columns
        writer = Writer(self.settings, columns, self.shards, self, searcher.summaries.wrote)
        return writer, searcher

    def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.supervisor, method)(*args, **kwargs)

    def n_records(self) -> int:
        return sum(shard.stats().n_records for shard in self.shards.shards)

    def close(self) -> None:
        for shard in self.shards.shards:
            shard.close(checkpoint=False)
