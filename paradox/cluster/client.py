"""The way into a cluster: `paradox.connect()` joins the Ray cluster there is, or starts one."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

import ray

from paradox.adapt import encoders
from paradox.cluster.actors import logical_cpus
from paradox.cluster.arguments import LONGEST_TIMEOUT_S, absolute, check_timeout
from paradox.cluster.collection import Collection
from paradox.cluster.joining import join
from paradox.cluster.launch import SupervisorLink
from paradox.cluster.names import check_collection_name
from paradox.cluster.plane_shards import Transport
from paradox.cluster.settings import make_settings
from paradox.core.errors import InvalidArgument

NAMESPACE = "paradox"
CONNECT_TIMEOUT_S = 60.0
_DEFAULT_SHARDS_MAX = 16


def connect(
    *,
    address: str | None = None,
    storage_root: str | Path | None = None,
    namespace: str = NAMESPACE,
    num_cpus: int | None = None,
    shard_cpus: float = 0.0,
    transport: Transport = "sockets",
    timeout_s: float = CONNECT_TIMEOUT_S,
) -> Client:
    """Join a Ray cluster and return the client of its collections.

    In this order: the cluster that this process has joined already (which `address` must be, if it
    is given); the one at `address`; the one of `RAY_ADDRESS`, or the one that `ray start` or
    `paradox up` started on this machine; and if there is none, a cluster is started in this
    process, and ends with it. Data outlive all of them.

    Args:
        address: of the Ray cluster to join, host:port.
        storage_root: folder of the catalog and of collections without a storage of their own;
            every node must see it. None takes the one this cluster has, else `PARADOX_HOME`.
        namespace: Ray namespace; collections of different namespaces do not know each other.
        num_cpus: logical CPUs of a cluster started here; None offers the machine's.
        shard_cpus: logical CPUs that each shard takes; 0 takes none.
        transport: how searches and writes reach the shards: `sockets` of their own, encrypted, on
            ports that the system chooses; or `ray`, by Ray's calls, where such ports are closed.
        timeout_s: how long a cluster that is there has to answer, and then the supervisor of its
            collections to start.

    Raises:
        InvalidArgument: this cluster keeps its collections below another `storage_root`,
            `address` is none, or another than that of the cluster this process is in, or there is
            no such transport.
        RetryableError: the cluster named, or the one this process is in, does not answer.
    """
    timeout_s = check_timeout(timeout_s)
    if transport not in get_args(Transport):
        raise InvalidArgument(
            f"transport: expected one of {', '.join(get_args(Transport))}; got {transport!r}"
        )
    started = join(address, num_cpus, timeout_s=timeout_s)
    root = None if storage_root is None else Path(absolute(str(storage_root)))
    try:
        supervisor = SupervisorLink(
            root,
            namespace=namespace,
            shard_cpus=shard_cpus,
            transport=transport,
            timeout_s=timeout_s,
        )
        return Client(supervisor, owns_ray=started)
    except BaseException:
        if started:
            ray.shutdown()
        raise


class Client:
    """Makes, finds and drops collections; `connect` returns it.

    Args:
        supervisor: the way to the supervisor.
        owns_ray: whether `close` ends the Ray cluster.
    """

    def __init__(self, supervisor: SupervisorLink, *, owns_ray: bool) -> None:
        self._supervisor = supervisor
        self._owns_ray = owns_ray

    def __repr__(self) -> str:
        return f"<Client of {self._supervisor.namespace!r}, storage '{self._supervisor.root}'>"

    @property
    def storage_root(self) -> Path:
        """Folder of the catalog, and of collections without a storage of their own."""
        return self._supervisor.root

    def create(
        self,
        name: str,
        *,
        dim: int | None = None,
        metric: str | None = None,
        index: str = "auto",
        shards: int | None = None,
        replicas: int = 1,
        partition: str = "semantic",
        storage: str | Path | None = None,
        encoder: str | None = None,
        schema: dict[str, Any] | None = None,
        index_options: dict[str, Any] | None = None,
    ) -> Collection:
        """Return the collection with these settings, made if it is not there.

        Args:
            name: 1 to 63 letters, digits, dots, dashes, underscores.
            dim: dimension of the vectors; the encoder's where there is one.
            metric: `l2`, `ip` or `cosine`; None is `cosine` with an encoder, else `l2`.
            index: name of an index backend; see `paradox.index.backends()`.
            shards: number of shards; None takes one for each logical CPU of the cluster, up to
                16, and for a collection that is there, its own.
            replicas: 1.
            partition: `semantic` keeps like vectors together, so that few shards answer a query;
                `hash` spreads them evenly.
            storage: folder of its data, which every node must see; made absolute here. None takes
                one below the storage root, and for a collection that is there, its own.
            encoder: name of the encoder of its texts; see `paradox.adapt.encoders.names()`.
            schema: payload column to type; other columns are then refused. None declares columns
                by their first value.
            index_options: options of the index backend.

        Raises:
            CollectionExists: it is there with other settings; names each with both values.
            InvalidArgument: a setting that cannot be, a storage that is in use, or more shards than
                16 for each CPU of the cluster.
            UnknownBackend: there is no such index, or its package is not installed.
            UnknownEncoder: there is no such encoder, or its package is not installed.
        """
        if replicas != 1:
            raise InvalidArgument(
                f"replicas: expected 1, as copies of shards are not offered yet; got {replicas!r}"
            )
        encoder_id = ""
        if encoder is not None:
            loaded = encoders.load(encoder)
            encoder_id = loaded.id
            if dim not in (None, loaded.dim):
                raise InvalidArgument(f"dim: expected {loaded.dim}, the encoder's; got {dim!r}")
            dim = loaded.dim
        if dim is None:
            raise InvalidArgument("dim: expected a dimension, or an encoder; got neither")
        asked = make_settings(
            name,
            dim=dim,
            metric=metric or ("l2" if encoder is None else "cosine"),
            index=index,
            index_options=index_options,
            shards=min(logical_cpus(), _DEFAULT_SHARDS_MAX) if shards is None else shards,
            partition=partition,
            encoder=encoder,
            encoder_id=encoder_id,
            schema=schema,
        )
        folder = None if storage is None else Path(absolute(str(storage)))
        unasked = ("shards",) if shards is None else ()
        return self._opened(self._supervisor.ask("create", asked, folder, unasked=unasked))

    def get(self, name: str) -> Collection:
        """Return a collection, started if it is not running.

        Raises:
            CollectionNotFound: there is none of that name; names those there are.
        """
        return self._opened(self._supervisor.ask("get", check_collection_name(name)))

    def list(self) -> list[str]:
        """Return the names of all collections, sorted."""
        names: list[str] = self._supervisor.ask("names")
        return names

    def drop(self, name: str, *, keep_data: bool = False) -> None:
        """End a collection and delete its data.

        Args:
            name: the collection.
            keep_data: leave the data where they are; `create` with the same settings and storage
                brings the collection back.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        self._supervisor.ask("drop", check_collection_name(name), keep_data=keep_data)

    def discard(self, collection: Collection) -> bool:
        """Drop a collection that was made by `create` here, if nobody has put a record into it.

        Returns:
            Whether that was done.

        Raises:
            CollectionNotFound: it has been dropped.
            RetryableError: a shard does not tell what it holds.
        """
        if not collection.created:
            return False
        dropped: bool = self._supervisor.ask("discard", collection.name, collection.settings.uid)
        return dropped

    def restore(
        self,
        name: str,
        uri: str,
        *,
        shards: int | None = None,
        storage: str | Path | None = None,
    ) -> Collection:
        """Make a new collection from a snapshot.

        Args:
            name: what to call it.
            uri: where `Collection.snapshot` put it.
            shards: number of shards; None takes the snapshot's. Under another number every record
                is written again, which takes as long as adding them did.
            storage: as for `create`.

        Raises:
            CollectionExists: there is a collection of that name.
            SnapshotCorrupt: a file of the snapshot is missing or not what was written.
            InvalidArgument: the storage is in use, or `shards` are too many, as for `create`.
        """
        folder = None if storage is None else Path(absolute(str(storage)))
        return self._opened(
            self._supervisor.ask(
                "restore",
                check_collection_name(name),
                absolute(uri),
                folder,
                shards,
                timeout_s=LONGEST_TIMEOUT_S,
            )
        )

    def close(self) -> None:
        """Leave the cluster; end it if `connect` started it. Data stay."""
        if self._owns_ray:
            ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _opened(self, description: Any) -> Collection:
        return Collection(description, self._supervisor)
