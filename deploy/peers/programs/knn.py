"""Item neighbours by cosine, counted as events come (Sarwar et al., WWW 2001)."""

from typing import NamedTuple

import numpy as np

from .pairs import PairSums
from .past import HISTORY, Event, Past
from .prequential import Scores, Streaming


class KnnParameters(NamedTuple):
    """Parameters.

    Attributes:
        shrink: Added to the denominator, in full likes: similarities of few observations count
            less.
        recency: Weight of a history's item against the next newer one.
        window: Items of a history that an item is paired with.
    """

    shrink: float = 10.0
    recency: float = 0.9
    window: int = 20


class ItemKnn(Streaming):
    """Scores sum_j recency^age(j) r_j G[i, j] / (sqrt(G[i, i] G[j, j]) + shrink) over a history."""

    def __init__(self, past: Past, parameters: KnnParameters) -> None:
        self._past, self._parameters = past, parameters
        self._pairs = PairSums(past, parameters.window)
        self._fade = parameters.recency ** np.arange(HISTORY)

    def scores(self, user: int) -> Scores | None:
        items, strengths = self._past.history(user)
        seeds = strengths * self._fade[: len(items)]
        squares = self._pairs.squares
        rows = [self._pairs.row(item) for item in items.tolist()]
        others = np.concatenate([row[0] for row in rows])
        lengths = [len(row[0]) for row in rows]
        norms = np.sqrt(squares[others] * np.repeat(squares[items], lengths))
        weights = np.concatenate([row[1] for row in rows]) * np.repeat(seeds, lengths)
        weights /= norms + self._parameters.shrink
        return np.bincount(others, weights, self._past.items).astype(np.float64)

    def learn(self, event: Event) -> None:
        self._pairs.learn(event)
