from __future__ import annotations

import pickle

import pytest

from paradox.core import errors
from paradox.core.errors import CorruptionError, ParadoxError, RetryableError

INSTANCES = [
    error_class("what happened", "a/file", 12, "run paradox verify")
    if issubclass(error_class, CorruptionError)
    else error_class("what happened", 2.5)
    if issubclass(error_class, RetryableError)
    else error_class("what happened")
    for error_class in vars(errors).values()
    if isinstance(error_class, type) and issubclass(error_class, ParadoxError)
]


@pytest.mark.parametrize("error", INSTANCES, ids=lambda e: type(e).__name__)
def test_errors_survive_pickling(error):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("error", INSTANCES, ids=lambda e: type(e).__name__)
def test_every_error_stands_in_the_tree_that_is_drawn(error):
    assert type(error).__name__ in errors.__doc__


def test_messages_say_where_and_what_to_do():
    assert str(errors.RecordCorrupt("record 5: checksum", "db", 9, "restore it")) == (
        "record 5: checksum [db at byte 9]; restore it"
    )
    assert "try again after 2 s" in str(errors.ShardUnavailable("shard 1", 2))
