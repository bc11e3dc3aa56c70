"""SASRec: self-attention over a history, trained again every so many interactions.

Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, with a softmax over all
items seen so far in the place of one sampled negative, which ranks better (Klenitskiy and Vasilev,
RecSys 2023), and with the strength of each action beside its item.
"""

import os
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tensorflow as tf

from .folding import padded
from .past import Past
from .prequential import Batch, Scores
from .sequences import Lines, lines

_layers = tf.keras.layers


class SasrecParameters(NamedTuple):
    """Parameters.

    Attributes:
        factors: Width of the model.
        length: Items of a history that it looks at, 50 at the most.
        blocks: Of attention.
        heads: Of a block.
        dropout: Share of a layer's outputs that a training step leaves out.
        learning_rate: Of Adam.
        batch: Sequences of a step.
        epochs: Of a training, which goes on from the last one.
        seed: Of the first weights, dropout and the order of sequences.
    """

    factors: int = 48
    length: int = 30
    blocks: int = 2
    heads: int = 1
    dropout: float = 0.2
    learning_rate: float = 0.002
    batch: int = 64
    epochs: int = 3
    seed: int = 1


class _Model(tf.keras.Model):  # type: ignore[misc]
    def __init__(self, items: int, p: SasrecParameters) -> None:
        super().__init__()
        self.item = _layers.Embedding(items + 1, p.factors)
        self.strength = _layers.Embedding(11, p.factors)
        self.place = _layers.Embedding(p.length, p.factors)
        self.drop = _layers.Dropout(p.dropout)
        self.blocks = [
            (
                _layers.LayerNormalization(),
                _layers.MultiHeadAttention(p.heads, p.factors // p.heads, dropout=p.dropout),
                _layers.LayerNormalization(),
                _layers.Dense(p.factors, "relu"),
                _layers.Dense(p.factors),
            )
            for _ in range(p.blocks)
        ]
        self.last = _layers.LayerNormalization()

    def call(self, items: Any, strengths: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Give a vector at each place; oldest first, 0 where a sequence has ended before."""
        x = self.item(items) + self.strength(strengths) + self.place(tf.range(tf.shape(items)[1]))
        x = self.drop(x, training=training)
        for before_attention, attention, before_dense, wide, narrow in self.blocks:
            y = before_attention(x)
            x += attention(y, y, use_causal_mask=True, training=training)
            x += self.drop(narrow(wide(before_dense(x))), training=training)
        return self.last(x)


class Sasrec(Batch):
    """Trained on all histories so far, from where the last training ended; only likes are targets.

    The weights are as old as the last training; a user's history is always current.
    """

    ranks = True

    def __init__(self, past: Past, parameters: SasrecParameters) -> None:
        tf.keras.utils.set_random_seed(parameters.seed)
        self._past, self._parameters = past, parameters
        self._random = np.random.default_rng(parameters.seed)
        self._model = _Model(past.stream.item_count, parameters)
        self._optimizer = tf.keras.optimizers.Adam(parameters.learning_rate)
        self._trained = 0
        shapes = [tf.TensorSpec((None, None), tf.int32)] * 2
        self._step = tf.function(
            self._one_step,
            input_signature=[*shapes, *shapes, tf.TensorSpec((), tf.int32)],
        )
        self._last = tf.function(self._last_vector, input_signature=shapes)

    def train(self) -> None:
        windows = _windows(lines(self._past), self._parameters.length)
        if not len(windows[0]):
            return
        size = self._parameters.batch
        for _ in range(self._parameters.epochs):
            order = self._random.permutation(len(windows[0]))
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                self._step(*(window[rows] for window in windows), self._past.items)
        self._trained = self._past.items
        self._items = self._model.item.embeddings.numpy()[1 : self._trained + 1]

    def scores(self, user: int) -> Scores | None:
        if not self._trained:
            return None
        items, strengths = self._past.history(user, self._parameters.length)
        line = (items[::-1] + 1).astype(np.int32)[None]
        vector = self._last(line, np.rint(strengths[::-1] * 10).astype(np.int32)[None]).numpy()
        return padded(self._items @ vector, self._past.items)

    def _one_step(self, items: Any, strengths: Any, targets: Any, likes: Any, seen: Any) -> None:
        with tf.GradientTape() as tape:
            vectors = tf.boolean_mask(self._model(items, strengths, training=True), likes > 0)
            logits = tf.matmul(vectors, self._model.item.embeddings[1 : seen + 1], transpose_b=True)
            wanted = tf.boolean_mask(targets, likes > 0)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
            loss = tf.reduce_sum(losses) / tf.maximum(tf.cast(tf.size(losses), tf.float32), 1.0)
        gradients = tape.gradient(loss, self._model.trainable_variables)
        self._optimizer.apply_gradients(
            zip(gradients, self._model.trainable_variables, strict=True)
        )

    def _last_vector(self, items: Any, strengths: Any) -> Any:
        return self._model(items, strengths)[0, -1]


def _windows(given: Lines, length: int) -> tuple[Any, Any, Any, Any]:
    """Cut every line into pieces.

    Items plus 1, strengths, the item after each, and whether to learn it: int32 each, shape
    (pieces, length), oldest first, filled up with zeros at the end.
    """
    follows = (
        np.r_[given.users[1:] == given.users[:-1], False] if len(given.users) else np.empty(0, bool)
    )
    row = np.flatnonzero(follows)
    piece_of = given.places[row] // length
    new = np.r_[
        True, (piece_of[1:] != piece_of[:-1]) | (given.users[row][1:] != given.users[row][:-1])
    ]
    piece = np.cumsum(new) - 1 if len(row) else row
    column = given.places[row] % length
    columns = (
        given.items[row] + 1, given.strengths[row], given.items[row + 1], given.likes[row + 1],
    )  # fmt: skip
    pieces = []
    for values in columns:
        table = np.zeros((piece[-1] + 1 if len(row) else 0, length), np.int32)
        table[piece, column] = values
        pieces.append(table)
    return pieces[0], pieces[1], pieces[2], pieces[3]
