"""Matrix factorisation by Bayesian personalised ranking, of `implicit`.

Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009.
"""

from typing import NamedTuple

import numpy as np
from implicit.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray

from .folding import FoldIn, Folding
from .matrices import touched
from .past import Past
from .prequential import Batch, Scores


class BprParameters(NamedTuple):
    """Parameters.

    Attributes:
        factors: Length of the vectors.
        learning_rate: Of stochastic gradient descent.
        regularization: Of vectors.
        iterations: Of a training, which goes on from the last one.
        least: Strength (0 to 10) from which on an action counts.
        fold_in: How a user gets a vector, see `folding`.
        recency: Weight of a history's item against the next newer one, where a user is folded in.
        seed: Of the first vectors.
    """

    factors: int = 64
    learning_rate: float = 0.05
    regularization: float = 0.01
    iterations: int = 20
    least: float = 8.0
    fold_in: FoldIn = "items"
    recency: float = 0.9
    seed: int = 1


class Bpr(Batch):
    """Trained on all so far, from the vectors of the last training."""

    ranks = True

    def __init__(self, past: Past, parameters: BprParameters) -> None:
        self._past, self._parameters = past, parameters
        self._random = np.random.default_rng(parameters.seed)
        self._folding = Folding(past, parameters.fold_in, parameters.recency)
        width = parameters.factors + 1
        self._users = self._grown(np.empty((0, width), np.float32), past.stream.user_count)
        self._users[:, -1] = 1.0
        self._items = np.empty((0, width), np.float32)

    def train(self) -> None:
        p = self._parameters
        known = touched(self._past, p.least, graded=False)
        if known is None:
            return
        self._items = self._grown(self._items, self._past.items)
        model = BayesianPersonalizedRanking(
            factors=p.factors, learning_rate=p.learning_rate, regularization=p.regularization,
            iterations=p.iterations, random_state=p.seed,
        )  # fmt: skip
        model.user_factors, model.item_factors = self._users, self._items
        model.fit(known.matrix, show_progress=False)
        self._users, self._items = model.user_factors, model.item_factors
        users, items = self._users, self._items
        self._folding.set(users[:, :-1], items[:, :-1], items[:, -1], known.users)

    def scores(self, user: int) -> Scores | None:
        return self._folding.scores(user)

    def _grown(self, vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        shape = (count - len(vectors), vectors.shape[1])
        more = (self._random.random(shape, np.float32) - 0.5) / self._parameters.factors
        return np.concatenate((vectors, more))
