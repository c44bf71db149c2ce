"""`paradox`: the command line. Commands print for people, or one JSON object with `--json`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from paradox.core.errors import (
    CallerError,
    CollectionExists,
    CollectionNotFound,
    CorruptionError,
    InvalidArgument,
    ParadoxError,
    RetryableError,
)
from paradox.printing import (
    as_answer,
    end_with,
    print_hits,
    print_json,
    print_stats,
    program,
    progress,
    reporting,
    say,
    told,
)

if TYPE_CHECKING:
    from paradox.cluster.client import Client
    from paradox.cluster.collection import Collection

T = TypeVar("T")

app = typer.Typer(
    name="paradox",
    help="A latent memory on Ray: vectors with their meaning, found again.",
    epilog="Ends with 0; 1 if it was not confirmed; 2 if the request is wrong; 3 if it may succeed "
    "when tried again; 4 if stored data are damaged; 130 if interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
CollectionName = Annotated[str, typer.Argument(help="The collection.")]
Address = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster to join, host:port. If not given: that of RAY_ADDRESS, else the one that "
        "`paradox up` or `ray start` started here, else one that ends with this command."
    ),
]


@app.command()
def up(
    num_cpus: Annotated[
        int | None,
        typer.Option(
            help="Logical CPUs to offer Ray; those of the machine if not given. Ignored if the "
            "cluster runs already."
        ),
    ] = None,
    dashboard: Annotated[bool, typer.Option(help="Start the Ray dashboard too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Start a Ray cluster on this machine, with the collections of PARADOX_HOME's catalog.

    It outlives this command, and asks for this user's Ray token, which is made if there is none.
    """
    from paradox.cluster import local

    with reporting(as_json):
        already = local.running() is not None
        with progress("starting Ray", as_json):
            cluster = local.start(num_cpus=num_cpus, dashboard=dashboard)
        with _client(cluster.address) as client:
            names = client.list()
            _, failed = _each(names, lambda name: client.get(name), "opening", as_json)
        if as_json:
            print_json(cluster, collections=names, failed=told(failed))
        else:
            print(f"Ray runs {'already ' if already else ''}at {cluster.address}.")
            print(f"Collections: {', '.join(names) or 'none'}.")
            if cluster.dashboard_url:
                asks = ", which asks for what `ray get-auth-token` prints"
                print(f"Dashboard: {cluster.dashboard_url}{asks if cluster.with_token else ''}.")
                mode = "RAY_AUTH_MODE=token " if cluster.with_token else ""
                print("A job, from a checkout of the sources:")
                print(
                    f"  {mode}{program('ray')} job submit --address {cluster.dashboard_url} "
                    f"--working-dir . -- {program('python')} jobs/query.py …"
                )
            print(
                "`paradox ingest` fills a collection, `paradox query` asks, `paradox down` ends it."
            )
        end_with(failed, as_json)


@app.command()
def down(as_json: AsJson = False) -> None:
    """End the Ray cluster that `paradox up` started; the data stay."""
    from paradox.cluster import local

    with reporting(as_json):
        with progress("ending Ray", as_json):
            cluster = local.stop()
        say(
            {"stopped": cluster.address if cluster else None},
            f"ended {cluster.address}" if cluster else "nothing runs that `paradox up` started",
            as_json,
        )


@app.command()
def ingest(
    source: Annotated[
        list[str],
        typer.Argument(help="Parquet, CSV, JSON or Lance: files, folders, globs, URIs."),
    ],
    name: Annotated[
        str,
        typer.Option(
            "--collection", "-c", help="Where to; made if it is not there, with --dim or --encoder."
        ),
    ],
    text_column: Annotated[
        str | None,
        typer.Option(
            help="Column of texts to embed; `text` if not given, and the collection has an encoder."
        ),
    ] = None,
    vector_column: Annotated[
        str | None,
        typer.Option(help="Column of vectors; `vector` if not given, and there is no encoder."),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            help="Column of integer ids; a known id replaces its record. If not given, each row "
            "gets an id, and the same one when the same file is read again."
        ),
    ] = None,
    payload_columns: Annotated[
        str | None, typer.Option(help="Columns to keep, comma-separated; all others if not given.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="Encoder of a new collection: use-multilingual-v3 or minilm-l6-v2."),
    ] = None,
    dim: Annotated[
        int | None, typer.Option(help="Dimension of a new collection without an encoder.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric of a new collection: l2, ip or cosine; cosine with an encoder, else l2, "
            "if not given."
        ),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(
            help="Index of a new collection: auto, exact, hnsw or ivfpq; auto if not given."
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            help="Shards of a new collection; one for each CPU of the cluster, up to 16, if not "
            "given."
        ),
    ] = None,
    storage: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a new collection, which every node must see; collections/NAME in "
            "PARADOX_HOME if not given."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Leave out what an earlier run finished.")] = True,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Read files into a collection; run again after a crash, it goes on where it was.

    Settings given for a collection that is there must be those it has.
    """
    from paradox.cluster.ingest import ingest as run

    with reporting(as_json), _client(address) as client:
        asked = {
            "encoder": encoder,
            "dim": dim,
            "metric": metric,
            "index": index,
            "shards": shards,
            "storage": storage,
        }
        was_there = name in client.list()
        collection = _to_fill(client, name, asked)
        try:
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
        except CallerError:
            if not was_there and not len(collection):
                client.drop(name)  # made for a source that cannot be read
            raise
        if as_json:
            print_json(report)
        else:
            print(f"{report}. {name} holds {len(collection):,} records.")


@app.command()
def query(
    text: Annotated[str | None, typer.Argument(help="What to look for, in words.")] = None,
    vector: Annotated[str | None, typer.Option(help="A vector instead, as a JSON list.")] = None,
    name: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="The collection; needless if there is only one."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many to find, 1 to 10,000.")] = 5,
    recall: Annotated[
        float | None, typer.Option(help="Recall to reach, 0.95 if not given.")
    ] = None,
    filter: Annotated[
        str | None, typer.Option(help='SQL over payload columns, such as "year >= 2020".')
    ] = None,
    explain: Annotated[
        bool, typer.Option(help="Tell first which shards are asked, and why.")
    ] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Find the nearest records of a text or a vector."""
    with reporting(as_json):
        if (text is None) == (vector is None):
            got = "neither" if text is None else "both"
            raise InvalidArgument(f"query: expected a text or --vector; got {got}")
        asked: dict[str, Any] = {"text": text} if vector is None else {"vectors": _parsed(vector)}
    with reporting(as_json), _client(address) as client:
        collection = _only(client) if name is None else client.get(name)
        plan: str | None = None
        if explain:
            plan = collection.explain(k=k, recall=recall, filter=filter, **asked).explain()
        hits = collection.query(k=k, recall=recall, filter=filter, **asked)
        if as_json:
            print_json(as_answer(hits), collection=collection.name, plan=plan)
            return
        if plan is not None:
            print(plan)
        print_hits(hits, collection.settings.shards)


@app.command()
def status(
    name: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="Only this collection; all if not given."),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show the collections, their shards and their balance; starts those that do not run."""
    with reporting(as_json), _client(address) as client:
        names = client.list() if name is None else [client.get(name).name]
        figures, failed = _each(names, lambda n: client.get(n).stats(), "asking", as_json)
        if as_json:
            print_json(
                {
                    "storage_root": client.storage_root,
                    "collections": figures,
                    "failed": told(failed),
                }
            )
        elif not names:
            print("no collections yet: `paradox ingest` makes one")
        else:
            for collection_name, stats in figures.items():
                print_stats(collection_name, stats)
        end_with(failed, as_json)


@app.command()
def snapshot(
    name: CollectionName,
    uri: Annotated[str, typer.Argument(help="A new folder, or anything fsspec speaks.")],
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Copy a collection, as it is, to a folder or object store; writes go on meanwhile."""
    with reporting(as_json), _client(address) as client:
        with progress(f"copying {name}", as_json):
            client.get(name).snapshot(uri)
        say({"collection": name, "snapshot": uri}, f"{name} is copied to {uri}", as_json)


@app.command()
def restore(
    name: Annotated[str, typer.Argument(help="What to call the new collection.")],
    uri: Annotated[str, typer.Argument(help="Where `paradox snapshot` put it.")],
    shards: Annotated[
        int | None, typer.Option(help="Number of shards; the snapshot's if not given.")
    ] = None,
    storage: Annotated[
        Path | None,
        typer.Option(
            help="A new folder for its data, which every node must see; collections/NAME in "
            "PARADOX_HOME if not given."
        ),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Make a new collection from a snapshot, on another number of shards too."""
    with reporting(as_json), _client(address) as client:
        with progress(f"restoring {name}", as_json):
            collection = client.restore(name, uri, shards=shards, storage=storage)
            n_records = len(collection)
        say({"collection": name, "n_records": n_records}, f"{name}: {n_records:,} records", as_json)


@app.command()
def drop(
    name: CollectionName,
    keep_data: Annotated[
        bool,
        typer.Option(
            help="Forget it, but leave its data; `paradox ingest` with its settings and its folder "
            "as --storage, or `client.create`, brings it back."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """End a collection and delete its data; one whose settings are damaged, too."""
    with reporting(as_json), _client(address) as client:
        if not yes and not keep_data:
            typer.confirm(f"delete {name} and its {_size(client, name)}?", abort=True, err=True)
        client.drop(name, keep_data=keep_data)
        say({"dropped": name}, f"{name} is dropped", as_json)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="exact, index or overhead.")],
    quick: Annotated[
        bool, typer.Option(help="End within a minute, and leave docs/results/ as it is.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a benchmark beside its peers, from a checkout of the sources.

    A full run replaces docs/results/NAME.json.
    """
    with reporting(as_json):
        if not Path("benchmarks", f"{name}.py").is_file():
            raise InvalidArgument(
                f"bench: expected a benchmark of a checkout; got {name!r}, and there is no "
                f"benchmarks/{name}.py here"
            )
        flags = [*(["--quick"] if quick else []), *(["--json"] if as_json else [])]
        command = [sys.executable, "-m", f"benchmarks.{name}", *flags]
        raise typer.Exit(subprocess.run(command, check=False).returncode)


@contextmanager
def _client(address: str | None) -> Iterator[Client]:
    from paradox.cluster.client import connect

    with connect(address=address) as client:
        yield client


def _each(
    names: Iterable[str], ask: Callable[[str], T], doing: str, as_json: bool
) -> tuple[dict[str, T], dict[str, ParadoxError]]:
    """Ask for each collection; return the answers, and the errors of those that have none."""
    answers: dict[str, T] = {}
    failed: dict[str, ParadoxError] = {}
    names = list(names)
    with progress(f"{doing} collections", as_json, total=len(names)) as advance:
        for name in names:
            try:
                answers[name] = ask(name)
            except ParadoxError as error:
                failed[name] = error
            advance()
    return answers, failed


def _only(client: Client) -> Collection:
    names = client.list()
    if len(names) != 1:
        known = ", ".join(names) or "there is none"
        raise InvalidArgument(f"--collection: expected one of: {known}")
    return client.get(names[0])


def _to_fill(client: Client, name: str, asked: dict[str, Any]) -> Collection:
    """Return a collection that has the settings asked for, where any are; made if need be."""
    if name not in client.list():
        if asked["encoder"] is None and asked["dim"] is None:
            raise CollectionNotFound(
                f"collection {name!r} is not there: expected --dim or --encoder, to make it"
            )
        return client.create(name, **{**asked, "index": asked["index"] or "auto"})
    collection = client.get(name)
    kept: dict[str, Any] = msgspec.structs.asdict(collection.settings)
    given = {setting: value for setting, value in asked.items() if value is not None}
    if "storage" in given:
        given["storage"] = str(given["storage"].expanduser().absolute())
        kept["storage"] = collection.stats().storage
    differing = [
        f"{setting}: it has {kept[setting]!r}, asked for {value!r}"
        for setting, value in given.items()
        if kept[setting] != value
    ]
    if differing:
        raise CollectionExists(
            f"collection {name!r} exists with other settings: {'; '.join(differing)}"
        )
    return collection


def _size(client: Client, name: str) -> str:
    """Return how much a collection holds, in words; no count where it cannot be opened."""
    try:
        return f"{len(client.get(name)):,} records"
    except (CorruptionError, RetryableError):
        return "data, which cannot be counted"


def _parsed(vector: str) -> list[float]:
    try:
        return msgspec.json.decode(vector, type=list[float])
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"--vector: expected a JSON list of numbers: {error}") from error
