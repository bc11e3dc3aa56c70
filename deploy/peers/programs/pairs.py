"""Sums over pairs of items in the same history, kept as logs that are merged now and then."""

import numpy as np
from numpy.typing import NDArray

from .past import Event, Past

_FIRST_CAPACITY = 32


class _Row:
    """Weights by item, one appended after another; repeats are summed when the row is full."""

    def __init__(self) -> None:
        self.items = np.empty(_FIRST_CAPACITY, np.int32)
        self.weights = np.empty(_FIRST_CAPACITY, np.float32)
        self.count = 0

    def extend(self, items: NDArray[np.intp], weights: NDArray[np.float64]) -> None:
        if self.count + len(items) > len(self.items):
            self._make_room(len(items))
        end = self.count + len(items)
        self.items[self.count : end] = items
        self.weights[self.count : end] = weights
        self.count = end

    def append(self, item: int, weight: float) -> None:
        if self.count == len(self.items):
            self._make_room(1)
        self.items[self.count] = item
        self.weights[self.count] = weight
        self.count += 1

    def _make_room(self, need: int) -> None:
        items, places = np.unique(self.items[: self.count], return_inverse=True)
        sums = np.bincount(places, self.weights[: self.count], len(items))
        capacity = max(_FIRST_CAPACITY, 2 * (len(items) + need))
        self.items = np.empty(capacity, np.int32)
        self.weights = np.empty(capacity, np.float32)
        self.count = len(items)
        self.items[: self.count] = items
        self.weights[: self.count] = sums


class PairSums:
    """The Gram matrix of users' strengths, of pairs at most `window` apart in a history.

    G[i, j] = sum over users of r_i r_j, with r a strength from 0 to 1; the diagonal is the sum of
    r_i^2 over all users. A stronger action on a known item adds the difference.

    Attributes:
        squares: The diagonal, float64, shape (all items,).
    """

    def __init__(self, past: Past, window: int) -> None:
        self._past, self._window = past, window
        self._rows: list[_Row] = [_Row() for _ in range(past.stream.item_count)]
        self.squares = np.zeros(past.stream.item_count)

    def learn(self, event: Event) -> None:
        """Add the pairs of an event with the user's newest items."""
        old, new = event.known / 10.0, max(event.known, event.strength) / 10.0
        if new == old:
            return
        self.squares[event.item] += new * new - old * old
        items, strengths = self._past.history(event.user, self._window)
        others = items != event.item
        items, weights = items[others], strengths[others] * (new - old)
        self._rows[event.item].extend(items, weights)
        for item, weight in zip(items.tolist(), weights.tolist(), strict=True):
            self._rows[item].append(event.item, weight)

    def row(self, item: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Other items and their weights; an item may come several times, and its weights add."""
        row = self._rows[item]
        return row.items[: row.count], row.weights[: row.count]

    def dense(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """The matrix of some items with its diagonal; float32, shape (items, items)."""
        place = np.full(len(self._rows), -1, np.intp)
        place[items] = np.arange(len(items))
        matrix = np.zeros((len(items), len(items)), np.float32)
        for number, item in enumerate(items.tolist()):
            others, weights = self.row(item)
            at = place[others]
            inside = at >= 0
            matrix[number] = np.bincount(at[inside], weights[inside], len(items))
        np.fill_diagonal(matrix, self.squares[items])
        return matrix
