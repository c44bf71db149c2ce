"""`paradox status`, `snapshot`, `restore` and `drop`: the collections there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paradox.cli.connection import Address, AsJson, each, joined
from paradox.core.errors import CorruptionError, RetryableError
from paradox.printing import end_with, print_json, print_stats, progress, reporting, say, told

if TYPE_CHECKING:
    from paradox.cluster.client import Client

CollectionName = Annotated[str, typer.Argument(help="The collection.")]


def status(
    name: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="Only this collection; all if not given."),
    ] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show the collections, their shards and their balance; starts those that do not run."""
    with reporting(as_json), joined(address, name) as client:
        names = client.list() if name is None else [client.get(name).name]
        figures, failed = each(names, lambda n: client.get(n).stats(), "asking", as_json)
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


def snapshot(
    name: CollectionName,
    uri: Annotated[str, typer.Argument(help="A new folder, or anything fsspec speaks.")],
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Copy a collection, as it is, to a folder or object store; writes go on meanwhile."""
    with reporting(as_json), joined(address, name) as client:
        with progress(f"copying {name}", as_json):
            client.get(name).snapshot(uri)
        say({"collection": name, "snapshot": uri}, f"{name} is copied to {uri}", as_json)


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
    with reporting(as_json), joined(address, name) as client:
        with progress(f"restoring {name}", as_json):
            collection = client.restore(name, uri, shards=shards, storage=storage)
            n_records = len(collection)
        say({"collection": name, "n_records": n_records}, f"{name}: {n_records:,} records", as_json)


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
    with reporting(as_json), joined(address, name) as client:
        if not yes and not keep_data:
            typer.confirm(f"delete {name} and its {_size(client, name)}?", abort=True, err=True)
        client.drop(name, keep_data=keep_data)
        say({"dropped": name}, f"{name} is dropped", as_json)


def _size(client: Client, name: str) -> str:
    """Return how much a collection holds, in words; no count where it cannot be opened."""
    try:
        return f"{len(client.get(name)):,} records"
    except (CorruptionError, RetryableError):
        return "data, which cannot be counted"
