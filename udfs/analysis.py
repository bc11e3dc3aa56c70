"""What a classifier's probabilities mean: sentiment, emotions, topics.

The classifier behind each is a trained head, label prototypes, or a sequence-classification model
of transformers; they all answer with probabilities of named labels.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from udfs.errors import ModelError
from udfs.handler import Embedded, Failure, Limits, Named, Vector


class Classifier(Protocol):
    """Probabilities of labels, float32 of shape (labels,), a text.

    Attributes:
        labels: In the order of the probabilities.
        model: What the probabilities depend on besides the text.
    """

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def model(self) -> str: ...

    def load(self) -> None:
        """Read the model; once a process."""

    def classify(self, batch: Sequence[Embedded]) -> Sequence[Vector | Failure]:
        """One answer a text, in order."""


class Emotions(NamedTuple):
    """How a text feels.

    Attributes:
        weights: By emotion; they add up to 1.
        valence: Unpleasant to pleasant, -1 to 1.
        arousal: Calm to excited, -1 to 1.
    """

    weights: Mapping[str, float]
    valence: float
    arousal: float


CIRCUMPLEX: Mapping[str, tuple[float, float]] = {
    "joy": (0.81, 0.51),
    "sadness": (-0.63, -0.27),
    "anger": (-0.51, 0.59),
    "fear": (-0.64, 0.60),
    "disgust": (-0.60, 0.35),
    "surprise": (0.40, 0.67),
    "neutral": (0.0, 0.0),
}
"""Valence and arousal of each emotion: means of Russell and Mehrabian (1977), neutral at zero."""

_VALENCES: Mapping[str, float] = {
    **dict.fromkeys(("positive", "pos", "正面", "积极", "label_1"), 1.0),
    **dict.fromkeys(("neutral", "neu", "中性"), 0.0),
    **dict.fromkeys(("negative", "neg", "负面", "消极", "label_0"), -1.0),
}
_SCALES: Mapping[frozenset[str], tuple[float, float]] = {
    frozenset("01"): (0.5, 2.0),
    frozenset(("-1", "1")): (0.0, 1.0),
    frozenset(("-1", "0", "1")): (0.0, 1.0),
    frozenset("12345"): (3.0, 0.5),
}
"""Numbers that are known as scales of sentiment: their middle, and what one step is worth."""

_STARS = re.compile(r"([1-5])(?:\.0)?(?:[ _]?stars?)?")
_WEIGHT_MIN = 0.1
_TOPICS_MAX = 3


def valences(labels: Sequence[str]) -> Vector:
    """What each label is worth, -1 to 1.

    Args:
        labels: Words for positive, neutral and negative, or one of the scales 0/1, -1/1, -1/0/1,
            1 to 5 (also as `5 stars`).

    Raises:
        ModelError: They are none of these.

    >>> [float(one) for one in valences(["1", "2", "3", "4", "5"])]
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    """
    lower = [label.strip().lower() for label in labels]
    if all(label in _VALENCES for label in lower):
        return np.array([_VALENCES[label] for label in lower], np.float32)
    stars = [_STARS.fullmatch(label) for label in lower]
    numbers = [star.group(1) for star in stars if star] if all(stars) else lower
    scale = _SCALES.get(frozenset(numbers))
    if scale is None:
        message = (
            f"Labels {', '.join(labels)} are no sentiment: legal are positive, neutral and "
            "negative, or the scales 0 and 1, -1 to 1, 1 to 5."
        )
        raise ModelError(message)
    middle, step = scale
    return np.array([(float(number) - middle) * step for number in numbers], np.float32)


class _Analysis:
    """What the three share.

    Args:
        classifier: Whose probabilities are read; loaded by `load`.
    """

    limits = Limits()

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    @property
    def model(self) -> str:
        """What the answers depend on besides the text."""
        return self.classifier.model

    def load(self) -> None:
        """Load the classifier, and see whether its labels mean something here.

        Raises:
            ModelError: They do not, or it cannot be loaded.
        """
        self.classifier.load()


class Sentiment(_Analysis):
    """-1 (negative) to 1 (positive): the mean of the labels' values."""

    name = "sentiment"

    def load(self) -> None:
        super().load()
        self._values = valences(self.classifier.labels)

    def infer(self, batch: Sequence[Embedded]) -> list[float | Failure]:
        """One number a text."""
        return [
            one if isinstance(one, Failure) else round(float(one @ self._values), 4)
            for one in self.classifier.classify(batch)
        ]


class Feelings(_Analysis):
    """Weights of seven emotions, valence and arousal."""

    name = "emotions"

    def load(self) -> None:
        super().load()
        unknown = sorted(set(self.classifier.labels) - set(CIRCUMPLEX))
        if unknown:
            message = (
                f"Unknown emotions {', '.join(unknown)}: legal are {', '.join(CIRCUMPLEX)}. "
                "Rename the labels of the training data."
            )
            raise ModelError(message)
        self._places = np.array([CIRCUMPLEX[label] for label in self.classifier.labels], np.float32)

    def infer(self, batch: Sequence[Embedded]) -> list[Emotions | Failure]:
        """Emotions a text."""
        return [
            one if isinstance(one, Failure) else self._place(one)
            for one in self.classifier.classify(batch)
        ]

    def _place(self, weights: Vector) -> Emotions:
        valence, arousal = (weights @ self._places).tolist()
        named = zip(self.classifier.labels, weights.tolist(), strict=True)
        return Emotions(
            {label: round(weight, 4) for label, weight in named},
            round(valence, 4),
            round(arousal, 4),
        )


class Topics(_Analysis):
    """At most three topics, best first; none below a tenth."""

    name = "topics"

    def infer(self, batch: Sequence[Embedded]) -> list[tuple[Named, ...] | Failure]:
        """Topics a text."""
        return [
            one if isinstance(one, Failure) else self._best(one)
            for one in self.classifier.classify(batch)
        ]

    def _best(self, weights: Vector) -> tuple[Named, ...]:
        order = np.argsort(-weights, kind="stable")[:_TOPICS_MAX]
        return tuple(
            Named(self.classifier.labels[at], round(float(weights[at]), 4))
            for at in order
            if weights[at] >= _WEIGHT_MIN
        )
