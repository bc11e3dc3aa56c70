"""What has happened so far, as every peer may use it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .stream import Stream

HISTORY = 50
"""Items that a user's history holds."""


class Event(NamedTuple):
    """One interaction, beside what was known before it.

    Attributes:
        user: Code.
        item: Code.
        strength: Of the action, 0 to 10.
        known: The user's strength for the item before, 0 for none.
        is_new: Whether the user never touched the item before.
        is_like: Whether the user likes the item from this event on.
        rating: Stars, NaN for none.
        time_ms: UTC epoch milliseconds.
    """

    user: int
    item: int
    strength: int
    known: int
    is_new: bool
    is_like: bool
    rating: float
    time_ms: int


class Past:
    """State of users and items after a number of interactions.

    Attributes:
        stream: All interactions; only the first `count` have happened.
        count: See there.
        items: Items seen so far: their codes are 0 to `items` - 1.
        popularity: Users who like each item, int64, shape (all items,).
    """

    def __init__(self, stream: Stream) -> None:
        """Begin before the first interaction."""
        self.stream, self.count, self.items = stream, 0, 0
        self.popularity: NDArray[np.int64] = np.zeros(stream.item_count, np.int64)
        self._touched: list[dict[int, int]] = [{} for _ in range(stream.user_count)]
        self._history: list[dict[int, int]] = [{} for _ in range(stream.user_count)]
        self._liked: list[set[int]] = [set() for _ in range(stream.user_count)]
        self._new_likes = [0] * stream.user_count

    def next_event(self) -> Event:
        """The interaction that comes next."""
        n, stream = self.count, self.stream
        user, item = int(stream.users[n]), int(stream.items[n])
        known = self._touched[user].get(item)
        return Event(
            user, item, int(stream.strengths[n]), known or 0, known is None,
            bool(stream.likes[n]) and item not in self._liked[user],
            float(stream.ratings[n]), int(stream.times[n]),
        )  # fmt: skip

    def add(self, event: Event) -> None:
        """Count the event that `next_event` gave as having happened."""
        strength = max(event.known, event.strength)
        self._touched[event.user][event.item] = strength
        if strength:
            history = self._history[event.user]
            history.pop(event.item, None)
            history[event.item] = strength
            if len(history) > HISTORY:
                del history[next(iter(history))]
        if event.is_like:
            self.popularity[event.item] += 1
            self._liked[event.user].add(event.item)
            self._new_likes[event.user] += event.is_new
        self.items = max(self.items, event.item + 1)
        self.count += 1

    def strengths(
        self, least: float
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
        """Users, items and strengths (0 to 1) of all pairs, of `least` (0 to 10) and more."""
        rows = [
            (user, item, strength)
            for user, touched in enumerate(self._touched)
            for item, strength in touched.items()
            if strength and strength >= least
        ]
        users, items, strengths = zip(*rows, strict=True) if rows else ((), (), ())
        return (
            np.array(users, np.intp),
            np.array(items, np.intp),
            np.array(strengths, np.float32) / 10.0,
        )

    def likes(self, user: int) -> int:
        """How many items that were new to a user the user has liked so far."""
        return self._new_likes[user]

    def touched(self, user: int) -> NDArray[np.intp]:
        """Items that a user has touched."""
        return np.fromiter(self._touched[user], np.intp, len(self._touched[user]))

    def history(
        self, user: int, length: int = HISTORY
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The newest items of a user, the newest first, and their strengths (0 to 1).

        Args:
            user: Code.
            length: So many at the most; `HISTORY` bounds it.
        """
        newest = list(self._history[user].items())[: -length - 1 : -1]
        items = np.array([item for item, _ in newest], np.intp)
        return items, np.array([strength for _, strength in newest], np.float64) / 10.0
