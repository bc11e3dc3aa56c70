"""Fitting a head: logistic regression on frozen vectors, the same for the same seed.

Vectors are centred and scaled a dimension before the fit (an encoder such as e5 leaves them in a
narrow cone), and that is folded into the weights afterwards, so that a head reads vectors as the
encoder gives them. The strength of the regularisation is chosen on a fifth of the training texts;
the test texts are looked at once, at the end.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udfs.errors import UnderstandingError
from udfs.handler import Space
from udfs.heads import Head, HeadMeta

Rows = NDArray[np.float32]

REGULARISATIONS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
TEST_SHARE = VALIDATION_SHARE = 0.2
LABELS_MAX = 1000
_TEXTS_MIN = 10


def split(count: int, seed: int, test: int | None = None) -> tuple[list[int], list[int]]:
    """Indices of training and test texts: a fifth for the test, or so many as asked for.

    >>> split(5, seed=1)
    ([0, 1, 2, 3], [4])
    """
    order = np.random.default_rng(seed).permutation(count).tolist()
    held_out = round(count * TEST_SHARE) if test is None else test
    return order[held_out:], order[:held_out]


def data_hash(texts: Sequence[str], labels: Sequence[str]) -> str:
    """128 bits of BLAKE2b over texts and labels in their order, as hex."""
    digest = blake2b(digest_size=16)
    for text, label in zip(texts, labels, strict=True):
        digest.update(f"{len(text)}:{text}\x00{label}\x00".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def train(
    train_set: tuple[Rows, Sequence[str]],
    test_set: tuple[Rows, Sequence[str]],
    *,
    task: str,
    version: int,
    space: Space,
    seed: int,
    hashed: str,
) -> Head:
    """A head with its accuracy on texts it has not seen.

    Args:
        train_set: Vectors of shape (texts, dimensions), and their labels.
        test_set: Likewise; nothing is chosen by them.
        task: Under which it is kept.
        version: Likewise.
        space: Of the vectors.
        seed: Of the inner split.
        hashed: Digest of the data, to be noted.

    Raises:
        UnderstandingError: There are too few texts or labels to learn anything.
    """
    vectors, labels = train_set
    _check(labels)
    names = sorted(set(labels))
    inner, held_out = split(len(labels), seed)
    regularisation = max(
        REGULARISATIONS,
        key=lambda c: _accuracy(_fit(vectors[inner], _pick(labels, inner), names, c),
                                vectors[held_out], _pick(labels, held_out), names),
    )  # fmt: skip
    weights, bias = fitted = _fit(vectors, labels, names, regularisation)
    accuracy = _accuracy(fitted, *test_set, names)
    meta = HeadMeta(
        task=task,
        version=version,
        labels=names,
        model=space.model,
        map_version=space.map_version,
        dimensions=space.dimensions,
        data_hash=hashed,
        seed=seed,
        texts_train=len(labels),
        texts_test=len(test_set[1]),
        accuracy=round(accuracy, 4),
        standard_error=round(sqrt(accuracy * (1 - accuracy) / len(test_set[1])), 4),
        majority=round(Counter(test_set[1]).most_common(1)[0][1] / len(test_set[1]), 4),
        regularisation=regularisation,
    )
    return Head(meta, weights, bias)


def _check(labels: Sequence[str]) -> None:
    counts = Counter(labels)
    if len(labels) < _TEXTS_MIN or not 2 <= len(counts) <= LABELS_MAX:
        message = (
            f"{len(labels)} texts with {len(counts)} labels to train on: a head needs at least "
            f"{_TEXTS_MIN} texts and 2 to {LABELS_MAX} labels. Is it the right column?"
        )
        raise UnderstandingError(message)


def _pick(labels: Sequence[str], indices: Sequence[int]) -> list[str]:
    return [labels[at] for at in indices]


def _fit(
    vectors: Rows, labels: Sequence[str], names: Sequence[str], regularisation: float
) -> tuple[Rows, Rows]:
    """Weights (labels, dimensions) and bias (labels,) for vectors as they come."""
    from sklearn.linear_model import LogisticRegression

    centre, scale = vectors.mean(axis=0), vectors.std(axis=0) + 1e-8
    model: Any = LogisticRegression(C=regularisation, max_iter=1000)
    model.fit((vectors - centre) / scale, labels)
    own, own_bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one row: log odds of the second label
        own, own_bias = np.concatenate([-own, own]) / 2, np.concatenate([-own_bias, own_bias]) / 2
    weights = np.zeros((len(names), vectors.shape[1]), np.float32)
    bias = np.full(len(names), -1e9, np.float32)  # a label that is not in this part: never
    rows = [names.index(name) for name in model.classes_]
    weights[rows] = own / scale
    bias[rows] = own_bias - weights[rows] @ centre
    return weights, bias


def _accuracy(
    fitted: tuple[Rows, Rows], vectors: Rows, labels: Sequence[str], names: Sequence[str]
) -> float:
    weights, bias = fitted
    best = (vectors @ weights.T + bias).argmax(axis=1)
    return float(np.mean([names[at] == label for at, label in zip(best, labels, strict=True)]))
