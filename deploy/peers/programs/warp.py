"""LightFM with the WARP loss.

Kula, "Metadata Embeddings for User and Item Cold-start Recommendations", CBRecSys 2015; Weston et
al., "WSABIE", IJCAI 2011.
"""

from typing import NamedTuple

from lightfm import LightFM

from .folding import FoldIn, Folding
from .matrices import touched
from .past import Past
from .prequential import Batch, Scores

_ARRAYS = [
    f"{side}_{array}"
    for side in ("user", "item")
    for array in (
        "embeddings", "embedding_gradients", "embedding_momentum",
        "biases", "bias_gradients", "bias_momentum",
    )
]  # fmt: skip


class WarpParameters(NamedTuple):
    """Parameters.

    Attributes:
        factors: Length of the vectors.
        learning_rate: Of Adagrad.
        alpha: L2 penalty of users and items.
        epochs: Of a training, which goes on from the last one.
        least: Strength (0 to 10) from which on an action counts.
        fold_in: How a user gets a vector, see `folding`.
        recency: Weight of a history's item against the next newer one, where a user is folded in.
        seed: Of the first vectors and the sampling.
    """

    factors: int = 64
    learning_rate: float = 0.05
    alpha: float = 1e-6
    epochs: int = 5
    least: float = 8.0
    fold_in: FoldIn = "items"
    recency: float = 0.9
    seed: int = 1


class Warp(Batch):
    """Trained on all so far, from the vectors and step sizes of the last training."""

    ranks = True

    def __init__(self, past: Past, parameters: WarpParameters) -> None:
        self._past, self._parameters = past, parameters
        self._folding = Folding(past, parameters.fold_in, parameters.recency)
        self._model: LightFM | None = None

    def train(self) -> None:
        p = self._parameters
        known = touched(self._past, p.least, graded=False)
        if known is None:
            return
        matrix = known.matrix.tocoo()
        model = LightFM(
            no_components=p.factors, loss="warp", learning_rate=p.learning_rate,
            item_alpha=p.alpha, user_alpha=p.alpha, random_state=p.seed + self._past.count,
        )  # fmt: skip
        model.fit_partial(matrix, epochs=0)  # makes its arrays
        if self._model:
            for name in _ARRAYS:
                before = getattr(self._model, name)
                getattr(model, name)[: len(before)] = before
        model.fit_partial(matrix, epochs=p.epochs)
        self._model = model
        vectors = model.user_embeddings, model.item_embeddings
        self._folding.set(*vectors, model.item_biases, known.users)

    def scores(self, user: int) -> Scores | None:
        return self._folding.scores(user)
