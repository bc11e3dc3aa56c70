"""What the factor models share: vectors of users that are newer than the last training."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .past import HISTORY, Past
from .prequential import Scores

FoldIn = Literal["trained", "items"]
"""`items`: a user is always the mean of the newest items' vectors. `trained`: a user's vector is
the one of the last training, and that mean for users who were not there yet."""


def padded(scores: Scores, count: int) -> Scores:
    """Scores with the lowest one for items that came after the training; shape (count,)."""
    lowest = scores.min(initial=0.0)
    filled = np.full(count, lowest)
    filled[: len(scores)] = scores
    return filled


class Folding:
    """Vectors of users and items, items with a bias, and a place for users who came later."""

    def __init__(self, past: Past, fold_in: FoldIn, recency: float) -> None:
        self._past, self._fold_in = past, fold_in
        self._fade = recency ** np.arange(HISTORY)
        self._users: NDArray[np.float32] | None = None
        self._items: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._biases: NDArray[np.float32] = np.empty(0, np.float32)
        self._was_there: NDArray[np.bool_] = np.zeros(past.stream.user_count, bool)

    def set(
        self,
        users: NDArray[np.float32],
        items: NDArray[np.float32],
        biases: NDArray[np.float32],
        trained: NDArray[np.intp],
    ) -> None:
        """Take what a training gave.

        Args:
            users: Vectors, shape (users, factors).
            items: Vectors, shape (items, factors).
            biases: Of items, shape (items,).
            trained: Codes of the users that the training knew.
        """
        self._users, self._items, self._biases = users, items, biases
        self._was_there[trained] = True

    def scores(self, user: int) -> Scores | None:
        """Inner products plus biases, of all items seen so far; None before the first training."""
        if self._users is None:
            return None
        if self._fold_in == "trained" and self._was_there[user]:
            vector = self._users[user]
        else:
            items, strengths = self._past.history(user)
            known = items < len(self._items)
            if not known.any():
                return None
            weights = (strengths * self._fade[: len(items)])[known]
            vector = weights @ self._items[items[known]] / max(weights.sum(), 1e-9)
        return padded(self._items @ vector.astype(np.float32) + self._biases, self._past.items)
