"""Two towers of TensorFlow Recommenders: a history on one side, an item on the other.

Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys
2019: softmax over the items of the batch, corrected for how often they are sampled. The query is
the fading mean of the newest items through a dense layer, so that a new user needs no training.
"""

import os
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # TensorFlow Recommenders is written for Keras 2

import tensorflow as tf
import tensorflow_recommenders as tfrs

from .folding import padded
from .past import Past
from .prequential import Batch, Scores
from .sequences import before, lines


class TwoTowerParameters(NamedTuple):
    """Parameters.

    Attributes:
        factors: Length of the vectors.
        length: Items of a history that the query looks at.
        recency: Weight of a history's item against the next newer one.
        learning_rate: Of Adam.
        batch: Examples of a step, which are each other's negatives.
        epochs: Of a training, which goes on from the last one.
        seed: Of the first vectors and the order of examples.
    """

    factors: int = 64
    length: int = 20
    recency: float = 0.9
    learning_rate: float = 0.003
    batch: int = 512
    epochs: int = 3
    seed: int = 1


class _Towers(tfrs.Model):  # type: ignore[misc]
    def __init__(self, items: int, parameters: TwoTowerParameters) -> None:
        super().__init__()
        self.seeds = tf.keras.layers.Embedding(items, parameters.factors)
        self.dense = tf.keras.layers.Dense(parameters.factors)
        self.item = tf.keras.layers.Embedding(items, parameters.factors)
        self.task = tfrs.tasks.Retrieval(remove_accidental_hits=True)

    def query(self, items: Any, weights: Any) -> Any:
        mean = tf.reduce_sum(self.seeds(items) * weights[:, :, None], 1)
        return self.dense(mean / (tf.reduce_sum(weights, 1, keepdims=True) + 1e-9))

    def compute_loss(self, inputs: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002
        query = self.query(inputs["history"], inputs["weights"])
        return self.task(
            query, self.item(inputs["item"]), candidate_ids=inputs["item"],
            candidate_sampling_probability=inputs["share"], compute_metrics=False,
        )  # fmt: skip


class TwoTower(Batch):
    """Trained on all likes so far, from where the last training ended."""

    ranks = True

    def __init__(self, past: Past, parameters: TwoTowerParameters) -> None:
        tf.keras.utils.set_random_seed(parameters.seed)
        self._past, self._parameters = past, parameters
        self._fade = parameters.recency ** np.arange(parameters.length)
        self._model = _Towers(past.stream.item_count + 1, parameters)
        self._model.compile(optimizer=tf.keras.optimizers.Adam(parameters.learning_rate))
        self._trained = 0

    def train(self) -> None:
        p, given = self._parameters, lines(self._past)
        rows = np.flatnonzero(given.likes & (given.places > 0))
        if not len(rows):
            return
        history = before(given, rows, p.length)
        targets = given.items[rows]
        counts = np.bincount(targets)
        examples = tf.data.Dataset.from_tensor_slices(
            {
                "history": history.items,
                "weights": (history.strengths * self._fade / 10.0).astype(np.float32),
                "item": targets,
                "share": (counts[targets] / len(targets)).astype(np.float32),
            }
        )
        shuffled = examples.shuffle(len(rows), seed=p.seed + self._past.count)
        self._model.fit(shuffled.batch(p.batch), epochs=p.epochs, verbose=0)
        self._trained = self._past.items
        self._histories = self._model.seeds.embeddings.numpy()
        self._dense, self._bias = (w.numpy() for w in self._model.dense.weights)
        self._items = self._model.item.embeddings.numpy()[: self._trained]

    def scores(self, user: int) -> Scores | None:
        if not self._trained:
            return None
        items, strengths = self._past.history(user, self._parameters.length)
        weights = (strengths * self._fade[: len(items)]).astype(np.float32)
        mean = weights @ self._histories[items + 1] / (weights.sum() + 1e-9)
        return padded(self._items @ (mean @ self._dense + self._bias), self._past.items)
