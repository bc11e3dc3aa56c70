"""Classification without training: a text belongs to the label whose descriptions it is nearest to.

Descriptions are plain sentences in Chinese and English (`data/prototypes.toml`, or a file of one's
own). Encoders such as e5 put all texts into a narrow cone, and each language into its own part of
it; so each language has its own prototypes, and the mean of its descriptions is taken away from
both sides before the cosine:

    score(text, label) = cos(text - mean, prototype - mean),  probability = softmax(score / t)
"""

import tomllib
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from udfs.errors import ModelError
from udfs.handler import Embedded, Failure, Handler, Text, Vector
from udfs.heads import softmax

Descriptions = Mapping[str, Mapping[str, Sequence[str]]]
"""Sentences by label and language."""

LANGUAGE = "en"
"""Whose prototypes serve a language without any."""


def descriptions(task: str, path: Path | None = None) -> Descriptions:
    """A task's labels as described in a TOML file: `[task.label]` with a list a language.

    Raises:
        ModelError: The file cannot be read or does not describe the task.
    """
    source = path or files("udfs") / "data" / "prototypes.toml"
    try:
        found = tomllib.loads(source.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"Prototypes cannot be read from {source}: {error}."
        raise ModelError(message) from error
    labels: Descriptions = found.get(task, {})
    languages = {frozenset(one) for one in labels.values()}
    if len(labels) < 2 or len(languages) != 1 or LANGUAGE not in next(iter(languages)):
        message = (
            f"{source} does not describe {task}: it needs two or more tables [{task}.LABEL], each "
            f"with lists of sentences in the same languages, {LANGUAGE} among them."
        )
        raise ModelError(message)
    return labels


class Prototypes:
    """A classifier made of described labels.

    Args:
        task: Its name.
        described: Sentences by label and language.
        encoder: Of the vectors to classify.
        temperature: How sharp the probabilities are; small is sharp.
    """

    def __init__(
        self,
        task: str,
        described: Descriptions,
        encoder: Handler[Text, Vector],
        temperature: float,
    ) -> None:
        self.task = task
        self.labels = tuple(described)
        self.model = f"{task}-prototypes:{_digest(described)}"
        self._described = described
        self._encoder = encoder
        self._temperature = temperature
        self._centres: dict[str, Vector] = {}
        self._towards: dict[str, NDArray[np.float32]] = {}

    def load(self) -> None:
        """Read the descriptions with the encoder.

        Raises:
            ModelError: It can read none of those of a label.
        """
        described = list(self._described.values())
        for language in described[0]:
            means = np.stack([self._mean(one[language], language) for one in described])
            self._centres[language] = centre = np.mean(means, axis=0)
            self._towards[language] = _unit(means - centre)

    def _mean(self, texts: Sequence[str], language: str) -> Vector:
        vectors = self._encoder.infer([Text(text=text, language=language) for text in texts])
        good = [vector for vector in vectors if not isinstance(vector, Failure)]
        if not good:
            message = f"The encoder reads none of the {language} descriptions of {self.task}."
            raise ModelError(message)
        return np.asarray(np.mean(good, axis=0), np.float32)

    def classify(self, batch: Sequence[Embedded]) -> list[Vector | Failure]:
        """Probabilities of the labels, a text."""
        if not batch:
            return []
        spoken = [
            one.text.language if one.text.language in self._centres else LANGUAGE for one in batch
        ]
        scores = np.zeros((len(batch), len(self.labels)), np.float32)
        for language in sorted(set(spoken)):
            rows = [at for at, one in enumerate(spoken) if one == language]
            vectors = np.stack([batch[at].vector for at in rows])
            scores[rows] = self.of_vectors(vectors, language)
        return list(softmax(scores / self._temperature))

    def of_vectors(self, vectors: NDArray[np.float32], language: str) -> NDArray[np.float32]:
        """Cosines to each label's prototype: float32, (texts, labels)."""
        return _unit(vectors - self._centres[language]) @ self._towards[language].T


def _digest(described: Descriptions) -> str:
    plain = [(label, sorted(one.items())) for label, one in described.items()]
    return blake2b(repr(plain).encode(), digest_size=4).hexdigest()


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), np.float32)
