"""The outcomes of a run in columns: a row an interaction with an item, as they were judged.

Everything that is measured is measured on these columns; the ranks are of the lists that were
being served, and nothing here ranks anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.messages import SOURCES, Outcome

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_ITEM = -1
NO_SOURCE = -1


class Codes(dict[str, int]):
    """A code for each word, 0 and up in order of appearance."""

    def __missing__(self, word: str) -> int:
        code = self[word] = len(self)
        return code


@dataclass
class Judged:
    """Outcomes by column, n rows.

    Attributes:
        event_ids: Ids of the events.
        users: Names of the users by code.
        items: Names of the items by code, those that were only shown included.
        time_ms: Event time, UTC epoch milliseconds; likewise all of shape (n,).
        user: Code of the user.
        item: Code of the item.
        rank: Place of the item in the list that was being served, from 1; 0 where it was not there.
        source: Place in `SOURCES` of where the item came from, -1 without a rank.
        liked: The user likes the item from this event on.
        first: The user had not touched the item before.
        user_events: Interactions of the user before.
        item_users: Users of the item before.
        list_age_ms: Age of the list, -1 where nothing was stored.
        fallback: Whether it was not the user's own list.
        shown: Codes of the first ten items of the list, -1 for an empty place, shape (n, 10).
        shadows: Ranks of the models that were scored and not served, as `rank`, by name.
    """

    event_ids: Sequence[str]
    users: Sequence[str]
    items: Sequence[str]
    time_ms: Ints
    user: Ints
    item: Ints
    rank: Ints
    source: Ints
    liked: Flags
    first: Flags
    user_events: Ints
    item_users: Ints
    list_age_ms: Ints
    fallback: Flags
    shown: Ints
    shadows: Mapping[str, Ints]

    def __len__(self) -> int:
        return len(self.event_ids)

    def earlier_positives(self) -> Ints:
        """How many items new to them the user of each row had liked before it, shape (n,)."""
        return running_count(self.user, self.liked & self.first)

    def positives(self) -> Flags:
        """The rows that a list is asked to foresee, shape (n,).

        Likes of items that are new to the user, by users who liked something before. What the
        user knows is never listed, and of somebody without a like there is nothing to learn from.
        """
        return self.liked & self.first & (self.earlier_positives() > 0)


SHOWN = 10


def running_count(groups: Ints, flags: Flags) -> Ints:
    """How many rows of the same group before each row have the flag, shape (n,).

    >>> running_count(np.array([0, 1, 0, 0]), np.array([True, True, False, True])).tolist()
    [0, 0, 1, 1]
    """
    if not len(groups):
        return np.zeros(0, np.int64)
    order = np.argsort(groups, kind="stable")
    ordered, marks = groups[order], flags[order].astype(np.int64)
    before = np.cumsum(marks) - marks
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(ordered)])
    counted = np.empty(len(groups), np.int64)
    counted[order] = before - np.repeat(before[starts], lengths)
    return counted


def gather(outcomes: Iterable[Outcome]) -> Judged:
    """Line outcomes up by (time, event id), the order in which every stage applies them."""
    touching = (one for one in outcomes if one.item)
    ordered = sorted(touching, key=lambda one: (one.time_ms, one.event_id))
    users, items = Codes(), Codes()
    shown = np.full((len(ordered), SHOWN), NO_ITEM, np.int64)
    for row, one in enumerate(ordered):
        places = [items[item] for item in one.shown[:SHOWN]]
        shown[row, : len(places)] = places
    sources = {name: place for place, name in enumerate(SOURCES)}
    user = _ints(users[one.user] for one in ordered)
    item = _ints(items[one.item] for one in ordered)
    return Judged(
        [one.event_id for one in ordered], list(users), list(items),
        _ints(one.time_ms for one in ordered),
        user, item,
        _ints(one.rank or 0 for one in ordered),
        _ints(sources.get(one.source or "", NO_SOURCE) for one in ordered),
        np.array([one.liked for one in ordered], bool),
        np.array([one.first for one in ordered], bool),
        _ints(one.user_events for one in ordered),
        _ints(one.item_users or 0 for one in ordered),
        _ints(-1 if one.list_age_ms is None else one.list_age_ms for one in ordered),
        np.array([one.fallback for one in ordered], bool),
        shown, _shadows(ordered),
    )  # fmt: skip


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)


def _shadows(ordered: Sequence[Outcome]) -> dict[str, Ints]:
    names = dict.fromkeys(name for one in ordered for name in one.shadows)
    return {name: _ints(one.shadows.get(name) or 0 for one in ordered) for name in names}
