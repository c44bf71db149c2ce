"""`paradox ingest`: files into a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from paradox.cli.connection import Address, AsJson, joined
from paradox.cluster.names import check_collection_name
from paradox.core.errors import CallerError, CollectionExists, CollectionNotFound
from paradox.core.metric import check_metric
from paradox.core.vectors import check_dim
from paradox.printing import print_json, reporting

if TYPE_CHECKING:
    from paradox.cluster.client import Client
    from paradox.cluster.collection import Collection

_WHEN_STOPPED = "rows that are in stay in, and the same command goes on from there"


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
            help="Index of a new collection: auto, exact, graph, hnsw, ivf or ivfpq; auto if not "
            "given."
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
    asked = {
        "encoder": encoder,
        "dim": dim,
        "metric": metric,
        "index": index,
        "shards": shards,
        "storage": storage,
    }
    payload = payload_columns.split(",") if payload_columns else None
    with reporting(as_json, when_stopped=_WHEN_STOPPED):
        check_collection_name(name)
        _check(source, asked, (id_column, vector_column, text_column, payload))
        with joined(address) as client:
            from paradox.cluster.ingest import ingest as run

            is_new = name not in client.list()
            collection = (_made if is_new else _with_settings)(client, name, asked)
            try:
                report = run(
                    collection,
                    source,
                    id_column=id_column,
                    vector_column=vector_column,
                    text_column=text_column,
                    payload_columns=payload,
                    resume=resume,
                    progress=not as_json,
                )
            except CallerError:
                client.discard(collection)  # if it was made for a source that cannot be read
                raise
            if as_json:
                print_json(report)
            else:
                print(f"{report}. {name} holds {len(collection):,} records.")


def _check(source: list[str], asked: dict[str, Any], columns: tuple[Any, ...]) -> None:
    """Refuse what needs no cluster to be refused: options that cannot be, files that are not there.

    Raises:
        CallerError: the first that is wrong.
    """
    from paradox.adapt import encoders
    from paradox.cluster.columns import SourceColumns, check_first_rows
    from paradox.cluster.settings import check_shards
    from paradox.cluster.sources import find_files
    from paradox.index import check_name

    encoder, dim, metric = asked["encoder"], asked["dim"], asked["metric"]
    for value, check in (
        (asked["index"], check_name),
        (encoder, encoders.check_name),
        (dim, check_dim),
        (metric, check_metric),
        (asked["shards"], check_shards),
    ):
        if value is not None:
            check(value)
    files = find_files(source)
    recipe = SourceColumns(*columns).recipe(dim or 0, metric, with_encoder=encoder is not None)
    if (encoder if recipe.vector is None else dim) is not None:
        check_first_rows(files[0], recipe)


def _made(client: Client, name: str, asked: dict[str, Any]) -> Collection:
    """Return a new collection with the settings asked for."""
    if asked["encoder"] is None and asked["dim"] is None:
        raise CollectionNotFound(
            f"collection {name!r} is not there: expected --dim or --encoder, to make it"
        )
    return client.create(name, **{**asked, "index": asked["index"] or "auto"})


def _with_settings(client: Client, name: str, asked: dict[str, Any]) -> Collection:
    """Return a collection that is there, once it has the settings asked for, where any are."""
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
