"""Trained heads: a logistic regression on frozen vectors, versioned files in a folder.

`HEADS/<task>/<version>/` holds `weights.npz` (float32 `weights` of shape (labels, dimensions) and
`bias` of shape (labels,)) and `meta.json`. A head belongs to the space it was trained in: with
another model or map it is refused. Eight-bit and half-precision builds of the same model share it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from udfs.errors import ModelError
from udfs.handler import Embedded, Failure, Space, Vector

WEIGHTS, META = "weights.npz", "meta.json"

Probabilities = NDArray[np.float32]


class HeadMeta(Struct, frozen=True, kw_only=True):
    """What a head is and where it comes from.

    Attributes:
        task: `sentiment`, `emotions` or `topics`.
        version: Counts up from 1 in the task's folder.
        labels: In the order of the weights' rows.
        model, map_version, dimensions: The space of its vectors, whatever the precision.
        data_hash: BLAKE2b of the training data's texts and labels.
        seed: Of the split.
        texts_train, texts_test: Sizes of the split.
        accuracy: On the held-out texts; `standard_error` is that of a share, sqrt(p(1-p)/n).
        majority: Accuracy of always answering the most frequent label.
        regularisation: C of the logistic regression, chosen on a part of the training texts.
    """

    task: str
    version: Annotated[int, Meta(ge=1)]
    labels: list[str]
    model: str
    map_version: str
    dimensions: int
    data_hash: str
    seed: int
    texts_train: int
    texts_test: int
    accuracy: float
    standard_error: float
    majority: float
    regularisation: float


class Head:
    """A linear classifier of vectors.

    Args:
        meta: What it is.
        weights: float32, (labels, dimensions).
        bias: float32, (labels,).
    """

    def __init__(self, meta: HeadMeta, weights: Probabilities, bias: Probabilities) -> None:
        wanted = (len(meta.labels), meta.dimensions)
        if weights.shape != wanted or bias.shape != wanted[:1]:
            message = (
                f"The head {meta.task} {meta.version} has weights of shape {weights.shape}, and "
                f"{wanted} is what its {META} says: train it anew."
            )
            raise ModelError(message)
        self.meta = meta
        self.labels = tuple(meta.labels)
        self._weights, self._bias = weights, bias

    @property
    def model(self) -> str:
        return f"{self.meta.task}-head-{self.meta.version}:{self.meta.data_hash[:8]}"

    def load(self) -> None:
        """Nothing is left to be read."""

    def check(self, space: Space) -> None:
        """Refuse vectors of another space.

        Raises:
            ModelError: They are.
        """
        meta = self.meta
        own = (meta.model, meta.map_version, meta.dimensions)
        if own != (space.model, space.map_version, space.dimensions):
            message = (
                f"The head {meta.task} {meta.version} was trained on vectors of {meta.model}/"
                f"{meta.map_version} ({meta.dimensions} numbers), and these are of {space} "
                f"({space.dimensions}): train it anew with `headwater train-head`."
            )
            raise ModelError(message)

    def of_vectors(self, vectors: NDArray[np.float32]) -> Probabilities:
        """Probabilities of the labels: float32, (texts, labels)."""
        return softmax(vectors @ self._weights.T + self._bias)

    def classify(self, batch: Sequence[Embedded]) -> list[Vector | Failure]:
        """Probabilities of the labels, a text."""
        if not batch:
            return []
        return list(self.of_vectors(np.stack([one.vector for one in batch])))

    def save(self, home: Path) -> Path:
        """Write it below a folder of heads; returns its own folder."""
        folder = home / self.meta.task / str(self.meta.version)
        folder.mkdir(parents=True)
        np.savez(folder / WEIGHTS, weights=self._weights, bias=self._bias)
        (folder / META).write_bytes(msgspec.json.format(msgspec.json.encode(self.meta), indent=2))
        return folder


def softmax(scores: NDArray[Any]) -> Probabilities:
    """Rows that add up to one."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def versions(home: Path, task: str) -> list[int]:
    """Versions of a task's heads in a folder, ascending."""
    folder = home / task
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal())


def load_head(home: Path, task: str, version: int | None = None) -> Head | None:
    """The newest head of a task, or the version asked for; None if the task has none.

    Raises:
        ModelError: There is no such folder or version, or its files are not a head's.
    """
    if not home.is_dir():
        message = f"No folder {home}: `heads` is a folder made by `headwater train-head --out`."
        raise ModelError(message)
    there = versions(home, task)
    if version is None and not there:
        return None
    chosen = there[-1] if version is None else version
    if chosen not in there:
        message = f"No version {chosen} of {task} in {home}: there is {there or 'none'}."
        raise ModelError(message)
    return _read(home / task / str(chosen))


def _read(folder: Path) -> Head:
    try:
        meta = msgspec.json.decode((folder / META).read_bytes(), type=HeadMeta)
        with np.load(folder / WEIGHTS, allow_pickle=False) as file:
            return Head(meta, file["weights"], file["bias"])
    except (OSError, KeyError, ValueError, msgspec.DecodeError) as error:
        message = f"No head in {folder}: {error}. Train it anew."
        raise ModelError(message) from error
