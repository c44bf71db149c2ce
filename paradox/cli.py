"""`paradox`: the command line. Commands print for people, or one JSON object with `--json`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from paradox.core.errors import CallerError, CorruptionError, InvalidArgument, ParadoxError

if TYPE_CHECKING:
    from paradox.cluster.client import Client
    from paradox.cluster.collection import Collection, CollectionStats
    from paradox.core.types import Neighbors

app = typer.Typer(
    name="paradox",
    help="A latent memory on Ray: vectors with their meaning, found again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[
    str | None,
    typer.Option("--collection", "-c", help="The collection; needless where there is only one."),
]
Address = Annotated[
    str | None,
    typer.Option(help="Ray cluster to join; RAY_ADDRESS or this machine's if not."),
]


@app.command()
def up(
    num_cpus: Annotated[int | None, typer.Option(help="Logical CPUs to offer Ray.")] = None,
    dashboard: Annotated[bool, typer.Option(help="Start the Ray dashboard too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Start a Ray cluster on this machine, with the collections that live here."""
    from paradox.cluster import local

    with _reporting(as_json):
        cluster = local.start(num_cpus=num_cpus, dashboard=dashboard)
        with _client(None) as client:
            names = client.list()
            for name in names:
                client.get(name)
        if as_json:
            _print_json(cluster, collections=names)
            return
        where = f", its dashboard at {cluster.dashboard_url}" if cluster.dashboard_url else ""
        print(f"Ray runs at {cluster.address}{where}. Collections: {', '.join(names) or 'none'}.")
        if cluster.dashboard_url:
            submit = f"RAY_AUTH_MODE=token ray job submit --address {cluster.dashboard_url}"
            print(f"Submit jobs with `{submit} --working-dir . -- python jobs/…`.")
        print("`paradox ingest` fills a collection, `paradox query` asks, `paradox down` ends it.")


@app.command()
def down(as_json: AsJson = False) -> None:
    """End the Ray cluster that `paradox up` started; the data stay."""
    from paradox.cluster import local

    with _reporting(as_json):
        cluster = local.running()
        local.stop()
        if as_json:
            _print_json({"stopped": cluster.address if cluster else None})
        else:
            print(f"ended {cluster.address}" if cluster else "nothing runs that `up` started")


@app.command()
def ingest(
    source: Annotated[list[str], typer.Argument(help="Parquet, CSV, JSON or Lance; paths, URIs.")],
    name: Annotated[str, typer.Option("--collection", "-c", help="Made if it is not there.")],
    text_column: Annotated[str | None, typer.Option(help="Column of texts to embed.")] = None,
    vector_column: Annotated[str | None, typer.Option(help="Column of vectors.")] = None,
    id_column: Annotated[
        str | None, typer.Option(help="Column of ids; from file and row if not given.")
    ] = None,
    payload_columns: Annotated[
        str | None, typer.Option(help="Columns to keep, comma-separated; all others if not given.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Encoder of a new collection.")] = None,
    dim: Annotated[int | None, typer.Option(help="Dimension of a new collection.")] = None,
    metric: Annotated[str | None, typer.Option(help="Metric: l2, ip or cosine.")] = None,
    index: Annotated[str, typer.Option(help="Index backend of a new collection.")] = "auto",
    shards: Annotated[int | None, typer.Option(help="Shards of a new collection.")] = None,
    storage: Annotated[Path | None, typer.Option(help="Folder of a new collection.")] = None,
    resume: Annotated[bool, typer.Option(help="Leave out what an earlier run finished.")] = True,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Read files into a collection; run again after a crash, it goes on where it was."""
    from paradox.cluster.ingest import ingest as run

    with _reporting(as_json), _client(address) as client:
        if encoder is None and dim is None:
            collection = client.get(name)
        else:
            collection = client.create(
                name,
                dim=dim,
                metric=metric,
                index=index,
                shards=shards,
                storage=storage,
                encoder=encoder,
            )
        report = run(
            collection,
            source,
            text_column=text_column,
            vector_column=vector_column,
            id_column=id_column,
            payload_columns=payload_columns.split(",") if payload_columns else None,
            resume=resume,
            progress=not as_json,
        )
        if as_json:
            _print_json(report)
        else:
            print(f"{report}. {name} holds {len(collection):,} records.")


@app.command()
def query(
    text: Annotated[str | None, typer.Argument(help="What to look for, in words.")] = None,
    vector: Annotated[str | None, typer.Option(help="A vector instead, as a JSON list.")] = None,
    name: Name = None,
    k: Annotated[int, typer.Option("-k", help="How many to find.")] = 5,
    recall: Annotated[
        float | None, typer.Option(help="Recall to reach, 0.95 if not given.")
    ] = None,
    filter: Annotated[str | None, typer.Option(help='SQL, such as "year >= 2020".')] = None,
    explain: Annotated[bool, typer.Option(help="Tell which shards are asked, and why.")] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Find the nearest records of a text or a vector."""
    with _reporting(as_json):
        if (text is None) == (vector is None):
            raise InvalidArgument("query: expected a text or --vector, and not both")
        asked: dict[str, Any] = {"text": text} if vector is None else {"vectors": _parsed(vector)}
    with _reporting(as_json), _client(address) as client:
        collection = _collection(client, name)
        plan = collection.explain(k=k, recall=recall, **asked).explain() if explain else None
        hits = collection.query(k=k, recall=recall, filter=filter, **asked)
        if as_json:
            _print_json(_answer(hits), collection=collection.name, plan=plan)
            return
        if plan is not None:
            print(plan)
        _print_hits(hits, collection.settings.shards)


@app.command()
def status(name: Name = None, address: Address = None, as_json: AsJson = False) -> None:
    """Show the collections, their shards and their balance."""
    with _reporting(as_json), _client(address) as client:
        names = client.list() if name is None else [name]
        figures = {n: client.get(n).stats() for n in names}
        if as_json:
            _print_json({"storage_root": client.storage_root, "collections": figures})
            return
        if not figures:
            print("no collections yet: `paradox ingest` makes one")
        for collection_name, stats in figures.items():
            _print_stats(collection_name, stats)


@app.command()
def snapshot(
    name: Annotated[str, typer.Argument(help="The collection.")],
    uri: Annotated[str, typer.Argument(help="A new folder, or anything fsspec speaks.")],
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Copy a collection, as it is, to a folder or object store."""
    with _reporting(as_json), _client(address) as client:
        with _waiting(f"copying {name}", as_json):
            client.get(name).snapshot(uri)
        _say({"collection": name, "snapshot": uri}, f"{name} is copied to {uri}", as_json)


@app.command()
def restore(
    name: Annotated[str, typer.Argument(help="What to call the new collection.")],
    uri: Annotated[str, typer.Argument(help="Where `paradox snapshot` put it.")],
    shards: Annotated[int | None, typer.Option(help="Another number of shards.")] = None,
    storage: Annotated[Path | None, typer.Option(help="Folder of its data.")] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Make a new collection from a snapshot, on another number of shards too."""
    with _reporting(as_json), _client(address) as client:
        with _waiting(f"restoring {name}", as_json):
            collection = client.restore(name, uri, shards=shards, storage=storage)
            n_records = len(collection)
        _say(
            {"collection": name, "n_records": n_records}, f"{name}: {n_records:,} records", as_json
        )


@app.command()
def drop(
    name: Annotated[str, typer.Argument(help="The collection.")],
    keep_data: Annotated[bool, typer.Option(help="Forget it, but leave its data.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """End a collection and delete its data."""
    with _reporting(as_json), _client(address) as client:
        collection = client.get(name)
        if not yes and not keep_data:
            typer.confirm(f"delete {name} and its {len(collection):,} records?", abort=True)
        client.drop(name, keep_data=keep_data)
        _say({"dropped": name}, f"{name} is dropped", as_json)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="exact, index or overhead.")],
    quick: Annotated[bool, typer.Option(help="End within a minute.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a benchmark beside its peers, from a checkout of the sources."""
    with _reporting(as_json):
        if not Path("benchmarks", f"{name}.py").is_file():
            raise InvalidArgument(
                f"bench: expected a benchmark of a checkout; got {name!r}, and there is no "
                f"benchmarks/{name}.py here"
            )
        flags = [*(["--quick"] if quick else []), *(["--json"] if as_json else [])]
        command = [sys.executable, "-m", f"benchmarks.{name}", *flags]
        raise typer.Exit(subprocess.run(command, check=False).returncode)


@contextmanager
def _reporting(as_json: bool) -> Iterator[None]:
    """Turn our errors into a message and an exit code: 2 caller's, 3 try again, 4 corrupt."""
    try:
        yield
    except ParadoxError as error:
        if as_json:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        else:
            Console(stderr=True).print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
        code = 2 if isinstance(error, CallerError) else 3
        raise typer.Exit(4 if isinstance(error, CorruptionError) else code) from error


@contextmanager
def _client(address: str | None) -> Iterator[Client]:
    from paradox.cluster.client import connect

    with connect(address=address) as client:
        yield client


@contextmanager
def _waiting(what: str, as_json: bool) -> Iterator[None]:
    if as_json:
        yield
    else:
        with Console(stderr=True).status(what):
            yield


def _collection(client: Client, name: str | None) -> Collection:
    if name is None:
        names = client.list()
        if len(names) != 1:
            known = ", ".join(names) or "there is none"
            raise InvalidArgument(f"--collection: expected one of: {known}")
        name = names[0]
    return client.get(name)


def _parsed(vector: str) -> list[float]:
    try:
        return msgspec.json.decode(vector, type=list[float])
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"--vector: expected a JSON list of numbers: {error}") from error


def _answer(hits: Neighbors) -> dict[str, Any]:
    distance_of = dict(zip(hits.ids.tolist(), hits.distances.tolist(), strict=True))
    return {
        "hits": [
            {"id": record.id, "distance": distance_of[record.id], "payload": record.payload}
            for record in hits.records()
        ],
        "certified": hits.certified,
        "shards_touched": hits.shards_touched,
        "shards_missing": hits.shards_missing,
        "coverage": hits.coverage,
    }


def _print_hits(hits: Neighbors, n_shards: int) -> None:
    answer = _answer(hits)
    columns = list(dict.fromkeys(column for hit in answer["hits"] for column in hit["payload"]))
    table = Table("distance", "id", *columns)
    for hit in answer["hits"]:
        cells = (str(hit["payload"].get(column, "")) for column in columns)
        table.add_row(f"{hit['distance']:.4f}", str(hit["id"]), *cells)
    Console().print(table)
    print(f"{hits.shards_touched} of {n_shards} shards asked", end="")
    missing = ", ".join(map(str, hits.shards_missing))
    print(f"; PARTIAL: shards {missing} did not answer" if missing else "")


def _print_stats(name: str, stats: CollectionStats) -> None:
    settings = stats.settings
    table = Table("shard", "records", "share", "index", "memory MB", "disk MB", "last write")
    for number in range(settings.shards):
        engine = stats.shards.get(number)
        if engine is None:
            table.add_row(str(number), "does not answer", style="red")
            continue
        table.add_row(
            str(number),
            f"{engine.n_records:,}",
            f"{engine.n_records / max(stats.n_records, 1):.0%}",
            engine.index.backend,
            f"{engine.index.resident_bytes / 2**20:,.1f}",
            f"{engine.store.disk_bytes / 2**20:,.1f}",
            str(engine.last_seq),
        )
    made_by = f", encoder {settings.encoder}" if settings.encoder else ""
    table.title = f"{name}: {stats.n_records:,} x {settings.dim}, {settings.metric}{made_by}"
    table.caption = f"{settings.partition} partition, {stats.storage}"
    Console().print(table)


def _say(figures: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        _print_json(figures)
    else:
        print(sentence)


def _print_json(value: Any, **more: Any) -> None:
    print(msgspec.json.encode({**msgspec.to_builtins(value, enc_hook=_plain), **more}).decode())


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
