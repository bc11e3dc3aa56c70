"""EASE, the shallow linear autoencoder, solved again every so many interactions.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: B = I - P / diag(P) with
P = (G + lambda I)^-1. G counts graded events in a window of the history and a user's input fades
with age; both raise its quality in a stream, and the plain version has neither.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from .pairs import PairSums
from .past import HISTORY, Event, Past
from .prequential import Scores, Streaming


class EaseParameters(NamedTuple):
    """Parameters.

    Attributes:
        regularization: Lambda, in full likes.
        recency: Weight of a history's item against the next newer one.
        window: Items of a history that an item is paired with.
        items_max: Items that are solved for, those of the largest sums; the work grows with their
            cube.
    """

    regularization: float = 100.0
    recency: float = 0.9
    window: int = 20
    items_max: int = 6000


class Ease(Streaming):
    """The matrix is as old as the last solution; a user's history is always current."""

    def __init__(self, past: Past, parameters: EaseParameters) -> None:
        self._past, self._parameters = past, parameters
        self._pairs = PairSums(past, parameters.window)
        self._fade = parameters.recency ** np.arange(HISTORY)
        self._items: NDArray[np.intp] = np.empty(0, np.intp)
        self._place: NDArray[np.intp] = np.full(past.stream.item_count, -1, np.intp)
        self._weights: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def train(self) -> None:
        """Solve for the items of the largest sums."""
        squares = self._pairs.squares
        items = np.flatnonzero(squares > 0)
        if len(items) > self._parameters.items_max:
            order = np.argsort(-squares[items], kind="stable")
            items = np.sort(items[order[: self._parameters.items_max]])
        self._items = items
        self._place[:] = -1
        self._place[items] = np.arange(len(items))
        self._weights = solve(self._pairs.dense(items), self._parameters.regularization)

    def scores(self, user: int) -> Scores | None:
        items, strengths = self._past.history(user)
        places = self._place[items]
        solved = places >= 0
        if not solved.any():
            return None
        seeds = (strengths * self._fade[: len(items)])[solved].astype(np.float32)
        scores = np.zeros(self._past.items, np.float32)
        scores[self._items] = seeds @ self._weights[places[solved]]
        return scores

    def learn(self, event: Event) -> None:
        self._pairs.learn(event)


def solve(gram: NDArray[np.float32], regularization: float) -> NDArray[np.float32]:
    """Weights B of EASE, with a diagonal of zeros; float32, shape (items, items).

    A Gram matrix of pairs within a window leaves out some products of a user, so it need not be
    positive definite, as the full one is; it is inverted all the same, by LU where Cholesky fails.

    Args:
        gram: Symmetric, float32, shape (items, items); its diagonal is changed.
        regularization: Added to the diagonal, above 0.
    """
    if not len(gram):
        return gram
    diagonal = np.einsum("ii->i", gram)
    diagonal += regularization
    weights = _inverse(gram)
    weights /= -np.diag(weights)
    np.fill_diagonal(weights, 0.0)
    return weights


def _inverse(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    # Of a matrix in C order LAPACK sees the transpose, which is the same matrix.
    factor, failed = lapack.spotrf(matrix.T, lower=1)
    if failed:
        return np.linalg.inv(matrix)
    lower, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(lower)
    inverse += np.tril(lower, -1).T
    return np.ascontiguousarray(inverse)
