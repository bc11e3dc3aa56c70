"""An encoder without a model, for tests of what lies around one: same text, same vector."""

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from udfs.handler import Failure, Limits, Space, Text, Vector

_PIECES = re.compile(r"[a-z0-9]+|[^\W\d_a-z]", re.UNICODE)


class HashEncoder:
    """Sums a random unit vector a word (a character, in Chinese): texts with common words are near.

    Args:
        dimensions: Length of the vectors.
        refuse: Texts that hold it fail in inference, as a model's would.
    """

    name = "embedding"

    def __init__(self, dimensions: int = 64, refuse: str = "") -> None:
        self.space = Space(model="hash", map_version="0", dimensions=dimensions)
        self.limits = Limits()
        self.loads = 0
        self.texts = 0
        self._refuse = refuse

    @property
    def model(self) -> str:
        return str(self.space)

    def load(self) -> None:
        self.loads += 1

    def infer(self, batch: Sequence[Text]) -> list[Vector | Failure]:
        self.texts += len(batch)
        return [self._one(text.text) for text in batch]

    def lengths(self, batch: Sequence[Text]) -> list[int]:
        return [len(_PIECES.findall(text.text.lower())) for text in batch]

    def _one(self, text: str) -> Vector | Failure:
        pieces = _PIECES.findall(text.lower())
        if self._refuse and self._refuse in text:
            return Failure("in", "refused")
        if not pieces:
            return Failure("before", "no tokens in it")
        total = np.sum([self._piece(piece) for piece in pieces], axis=0)
        return np.asarray(total / np.linalg.norm(total), np.float32)

    def _piece(self, piece: str) -> Vector:
        seed = int.from_bytes(blake2b(piece.encode(), digest_size=8).digest(), "little")
        return np.random.default_rng(seed).standard_normal(self.space.dimensions, np.float32)
