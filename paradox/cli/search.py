"""`paradox query`: the nearest records of a text or a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from paradox.cli.connection import Address, AsJson, joined
from paradox.core.errors import InvalidArgument
from paradox.core.vectors import check_aim, check_k, check_not_blank
from paradox.printing import as_answer, print_hits, print_json, reporting

if TYPE_CHECKING:
    from paradox.cluster.client import Client
    from paradox.cluster.collection import Collection


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
        bool, typer.Option(help="Tell first which shards were asked, why, and what each gave.")
    ] = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Find the nearest records of a text or a vector."""
    with reporting(as_json):
        if (text is None) == (vector is None):
            got = "neither" if text is None else "both"
            raise InvalidArgument(f"query: expected a text or --vector; got {got}")
        if text is not None:
            check_not_blank([text])
        check_k(k)
        check_aim(recall, None)
        asked: dict[str, Any] = {"text": text} if vector is None else {"vectors": _parsed(vector)}
    with reporting(as_json), joined(address, name) as client:
        collection = _only(client) if name is None else client.get(name)
        why: str | None = None
        if explain:
            done = collection.explain(k=k, recall=recall, filter=filter, **asked)
            why, hits = done.explain(), done.answer.first_row()
        else:
            hits = collection.query(k=k, recall=recall, filter=filter, **asked)
        if as_json:
            print_json(as_answer(hits), collection=collection.name, plan=why)
            return
        if why is not None:
            print(why)
        print_hits(hits, collection.settings.shards)


def _only(client: Client) -> Collection:
    names = client.list()
    if len(names) != 1:
        known = ", ".join(names) or "there is none"
        raise InvalidArgument(f"--collection: expected one of: {known}")
    return client.get(names[0])


def _parsed(vector: str) -> list[float]:
    try:
        return msgspec.json.decode(vector, type=list[float])
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"--vector: expected a JSON list of numbers: {error}") from error
