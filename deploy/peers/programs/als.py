"""Matrix factorisation of implicit feedback by alternating least squares, of `implicit`.

Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
"""

from typing import NamedTuple

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from .folding import padded
from .matrices import touched
from .past import HISTORY, Past
from .prequential import Batch, Scores


class AlsParameters(NamedTuple):
    """Parameters.

    Attributes:
        factors: Length of the vectors.
        regularization: See the paper.
        alpha: Weight of a full like against an item not touched.
        least: Strength (0 to 10) from which on an action counts.
        recency: Weight of a history's item against the next newer one, where a user is folded in.
        iterations: Of a training, which begins anew.
        seed: Of the first vectors.
    """

    factors: int = 64
    regularization: float = 0.1
    alpha: float = 10.0
    least: float = 1.0
    recency: float = 0.9
    iterations: int = 10
    seed: int = 1


class Als(Batch):
    """Items' vectors are as old as the last training; a user's is solved for at every list."""

    ranks = True

    def __init__(self, past: Past, parameters: AlsParameters) -> None:
        self._past, self._parameters = past, parameters
        self._fade = parameters.recency ** np.arange(HISTORY)
        self._model: AlternatingLeastSquares | None = None

    def train(self) -> None:
        p = self._parameters
        known = touched(self._past, p.least, graded=True)
        if known is None:
            return
        self._model = AlternatingLeastSquares(
            factors=p.factors, regularization=p.regularization, alpha=p.alpha,
            iterations=p.iterations, random_state=p.seed,
        )  # fmt: skip
        self._model.fit(known.matrix, show_progress=False)
        self._model.num_threads = 1  # one user at a time: more threads would wait for each other

    def scores(self, user: int) -> Scores | None:
        if self._model is None:
            return None
        factors = self._model.item_factors
        items, strengths = self._past.history(user)
        known = (items < len(factors)) & (strengths * 10 >= self._parameters.least)
        if not known.any():
            return None
        weights = (strengths * self._fade[: len(items)])[known].astype(np.float32)
        columns = items[known].astype(np.int32)
        row = csr_matrix((weights, columns, np.array([0, len(columns)])), (1, len(factors)))
        vector = self._model.recalculate_user(0, row)
        return padded(factors @ vector, self._past.items)
