"""Predict, then learn: the one protocol by which all peers are measured.

For each like of an item that is new to the user, of a user with an earlier like, all items seen so
far are ranked, less those that the user has touched; then the peer learns. An item nobody has
touched before cannot be ranked: a miss. Equal scores go by the number of likes, then by the order
of appearance, so a peer that knows nothing of a user shows what is popular.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .past import Event, Past

Scores = NDArray[np.float64] | NDArray[np.float32]

KEPT = 50
"""Places of a list; an item beyond is a miss."""
SHOWN = 10
"""Places that count as shown, for coverage."""
_TELL_EVERY = 500


class Peer(Protocol):
    """A recommender that learns from a stream. It is made with the past that it may look at.

    Attributes:
        ranks: Whether it makes lists at all.
    """

    ranks: bool

    def train(self) -> None:
        """Train again on all that has happened; called every so many interactions."""

    def scores(self, user: int) -> Scores | None:
        """A score of every item seen so far, shape (past.items,); None where all are equal."""

    def expects(self, event: Event) -> float | None:
        """The stars that the user will give; None from a peer that does not foretell ratings."""

    def learn(self, event: Event) -> None:
        """Take in an event; the past does not hold it yet."""


class Batch:
    """A peer that learns when it is trained, and not from single events."""

    ranks = True

    def expects(self, event: Event) -> float | None:
        return None

    def learn(self, event: Event) -> None:
        """The past will hold it."""


class Streaming:
    """A peer that learns from every event and need not be trained."""

    ranks = True

    def train(self) -> None:
        """There is nothing to do."""

    def expects(self, event: Event) -> float | None:
        return None


class Measured(NamedTuple):
    """What a run gave.

    Attributes:
        rows: Places in the stream of the interactions that were foretold.
        ranks: The place of the item in the list, 1 for the first, 0 for a miss.
        items_shown: Items that were among the first ten of any list.
        ratings: Ratings that were foretold.
        absolutes: Sum of the errors of expected stars.
        squares: Sum of the squares of these errors.
        seconds_cpu: Time of all processors together, of predicting and learning.
        seconds_wall: Time on the clock.
    """

    rows: list[int]
    ranks: list[int]
    items_shown: int
    ratings: int
    absolutes: float
    squares: float
    seconds_cpu: float
    seconds_wall: float


def top(scores: Scores, popularity: NDArray[np.int64], k: int) -> NDArray[np.intp]:
    """The best items, best first; -inf marks items that may not be listed.

    Args:
        scores: Float, shape (items,).
        popularity: Likes, the order among equal scores; int64, shape (items,).
        k: So many at the most.

    Raises:
        ValueError: If a score is not a number.
    """
    count = len(scores)
    if not count:
        return np.empty(0, np.intp)
    if np.isnan(scores.max()):
        msg = "a score is not a number: the training of the peer has diverged"
        raise ValueError(msg)
    last = np.partition(scores, count - k)[count - k] if count > k else -np.inf
    better = np.flatnonzero(scores > last)
    tied = np.flatnonzero(scores == last) if last > -np.inf else better[:0]
    need = k - len(better)
    if len(tied) > need:
        key = popularity[tied] * count - tied
        tied = tied[np.argpartition(key, len(key) - need)[len(key) - need :]]
    pool = np.concatenate((better, tied))
    order: NDArray[np.intp] = np.lexsort((pool, -popularity[pool], -scores[pool]))
    return pool[order]


class Prequential:
    """One peer on one stream.

    Attributes:
        peer: See there.
        past: The very past that the peer was made with.
    """

    def __init__(self, peer: Peer, past: Past) -> None:
        self.peer, self.past = peer, past
        self._rows: list[int] = []
        self._ranks: list[int] = []
        self._shown = np.zeros(past.stream.item_count, bool)
        self._errors: list[float] = []

    def run(
        self, *, every: int, first: int = 0, on_progress: Callable[[int], object] | None = None
    ) -> Measured:
        """Foretell and learn, from the first to the last interaction.

        Args:
            every: Interactions between two trainings.
            first: Interactions before this one are learned and not foretold.
            on_progress: Called now and then with the number of interactions so far.
        """
        began_cpu, began = time.process_time(), time.perf_counter()
        for number in range(len(self.past.stream.users)):
            if number and number % every == 0:
                self.peer.train()
            event = self.past.next_event()
            if number >= first:
                self._foretell(event)
            self.peer.learn(event)
            self.past.add(event)
            if on_progress and number % _TELL_EVERY == 0:
                on_progress(number)
        errors = np.array(self._errors)
        return Measured(
            self._rows, self._ranks, int(self._shown.sum()),
            len(errors), float(abs(errors).sum()), float((errors * errors).sum()),
            time.process_time() - began_cpu, time.perf_counter() - began,
        )  # fmt: skip

    def list_of(self, user: int) -> NDArray[np.intp]:
        """The list that a user would get now, best first."""
        given = self.peer.scores(user)
        scores = np.zeros(self.past.items) if given is None else np.array(given, np.float64)
        scores[self.past.touched(user)] = -np.inf
        return top(scores, self.past.popularity[: self.past.items], KEPT)

    def _foretell(self, event: Event) -> None:
        if self.peer.ranks and event.is_like and event.is_new and self.past.likes(event.user):
            listed = self.list_of(event.user)
            self._shown[listed[:SHOWN]] = True
            found = np.flatnonzero(listed == event.item)
            self._rows.append(self.past.count)
            self._ranks.append(int(found[0]) + 1 if len(found) else 0)
        expected = None if np.isnan(event.rating) else self.peer.expects(event)
        if expected is not None:
            self._errors.append(expected - event.rating)
