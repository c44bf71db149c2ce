"""What the actors of a collection are called, and what a collection may be called."""

from __future__ import annotations

import re

from paradox.core.errors import InvalidArgument

SUPERVISOR = "paradox:supervisor"
_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


def check_collection_name(name: object) -> str:
    """Return `name` if a collection, and so a folder, may have it.

    Raises:
        InvalidArgument: it is not 1 to 63 letters, digits, dots, dashes and underscores, the
            first of them a letter or a digit.
    """
    if not isinstance(name, str) or not _COLLECTION.fullmatch(name):
        raise InvalidArgument(
            "name: expected 1 to 63 of the characters A-Z a-z 0-9 . _ -, the first one a letter "
            f"or a digit; got {name!r}"
        )
    return name


def shard_actor(collection: str, shard: int) -> str:
    """Return the name of a shard's actor; the last part is the replica."""
    return f"paradox:{collection}:shard:{shard}:0"


def is_of(actor: str, collection: str) -> bool:
    """Tell whether an actor of this name serves the collection."""
    return actor.startswith(f"paradox:{collection}:")


def router_actor(collection: str) -> str:
    """Return the name of a collection's router actor."""
    return f"paradox:{collection}:router"
