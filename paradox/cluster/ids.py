"""Ids that Paradox assigns: in order, and never one that a caller has chosen."""

from __future__ import annotations

from collections.abc import Callable

from paradox.core.errors import InvalidArgument

BLOCK = 65_536
MAX_ID = 2**63 - 1


class IdCounter:
    """Hands out ids above every id it has heard of.

    Only a mark above all of them is made durable, a block at a time; after a restart counting goes
    on from the mark, so ids have gaps but never repeat.

    Args:
        mark: the durable mark; no id at or above it was ever handed out or chosen.
        save: makes a new mark durable before it is relied on.
    """

    def __init__(self, mark: int, save: Callable[[int], None]) -> None:
        self._next = mark
        self._mark = mark
        self._save = save

    @property
    def next_id(self) -> int:
        """The next id that will be assigned."""
        return self._next

    def assign(self, n: int) -> int:
        """Return the first of `n` consecutive new ids.

        Raises:
            InvalidArgument: a chosen id is so high that there are not `n` above it.
        """
        first, after = self._next, self._next + n
        if after > MAX_ID:
            raise InvalidArgument(
                f"ids: expected them to be given, since ids of {first - BLOCK} and above have been "
                f"chosen and {n} more do not fit below 2**63; got none"
            )
        self._cover(after)
        self._next = after
        return first

    def raise_above(self, highest: int) -> int:
        """Let no id up to `highest` be assigned any more; return the next that may be."""
        if highest >= self._next:
            after = _rounded_up(highest + 1)
            self._cover(after)
            self._next = after
        return self._next

    def _cover(self, after: int) -> None:
        if after > self._mark:
            mark = _rounded_up(after)
            self._save(mark)
            self._mark = mark


def _rounded_up(n: int) -> int:
    return min(-(-n // BLOCK) * BLOCK, MAX_ID + 1)
