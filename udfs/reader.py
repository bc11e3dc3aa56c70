"""All that is found out of a text, in one go: the vector first, then what the heads make of it.

A vector that is known already is not computed again: `Remembered` keeps those of the catalogue
under their content key, which is a digest of the prepared text and the encoder. The map is no part
of the key: vectors are kept as the encoder gave them, so another map needs no model.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from msgspec import Struct

from udfs import language
from udfs.errors import ModelError
from udfs.handler import Embedded, Failure, Handler, Space, Text, Vector
from udfs.text import content_key


class Answer(Struct, frozen=True):
    """What was found out of one text.

    Attributes:
        content: Key of text and encoder; empty if there is no encoder.
        vector: Of unit length, rounded to float16 as it is kept; None without an encoder.
        found: By name of the head.
        fallback: Why this is less than it should be; empty if it is not.
    """

    content: str
    vector: Vector | None
    found: Mapping[str, Any]
    fallback: str


class Encoding(Handler[Text, Vector], Protocol):
    """A handler from texts to vectors."""

    @property
    def space(self) -> Space: ...


Finder = Handler[Embedded, Any]
"""Finds something out of texts and their vectors: a head, or the tags."""

Finders = Callable[[], Mapping[str, Finder]]
"""Makes the finders by name, once the encoder is loaded: prototypes are vectors of their own."""


class Remembered:
    """Vectors of texts that were read before, at most so many; the longest unused go first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def put(self, content: str, packed: bytes) -> None:
        """Keep a vector, packed as little-endian float16."""
        self._kept[content] = packed
        self._kept.move_to_end(content)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def get(self, content: str) -> Vector | None:
        """The vector, if it is known."""
        packed = self._kept.get(content)
        if packed is None:
            return None
        self._kept.move_to_end(content)
        return unpack(packed)

    def __len__(self) -> int:
        return len(self._kept)


def pack(vector: Vector) -> bytes:
    """A vector as it is kept and sent on: little-endian float16."""
    return vector.astype("<f2").tobytes()


def unpack(packed: bytes) -> Vector:
    """The vector that `pack` packed."""
    half = np.frombuffer(packed, "<f2")
    return half.astype(np.float32)


class Reader:
    """The encoder and the heads behind it; `load` once a process, then `read` batches.

    Args:
        encoder: Makes the vectors.
        finders: Makes what is found out of a text and its vector.
        remembered: Vectors that are known.
        degrade: Without a usable model, answer without a vector and say so, instead of failing.
        note: Why every answer is less than it should be; empty if it is not.

    Attributes:
        missing: Why there is no encoder; empty if there is one.
        hits, misses: Texts whose vector was remembered, and whose was computed.
    """

    def __init__(
        self,
        encoder: Encoding,
        finders: Finders,
        *,
        remembered: Remembered,
        degrade: bool = False,
        note: str = "",
    ) -> None:
        self._encoder, self._make, self._remembered = encoder, finders, remembered
        self._finders: Mapping[str, Finder] = {}
        self._degrade, self._note = degrade, note
        self.missing = ""
        self.hits = self.misses = 0

    @property
    def encoder(self) -> str:
        """Name of the encoder; empty if there is none."""
        return "" if self.missing else str(self._encoder.space).rpartition("/")[0]

    def load(self) -> None:
        """Load the encoder, then the finders, and what tells languages apart.

        Raises:
            ModelError: A model is missing or does not fit, and that is not to be borne.
        """
        language.load()
        try:
            self._encoder.load()
            self._finders = self._make()
            for finder in self._finders.values():
                finder.load()
        except ModelError as error:
            if not self._degrade:
                raise
            self.missing = f"no model: {error}"

    def read(self, texts: Sequence[Text], *, remember: bool) -> list[Answer | Failure]:
        """One answer a text, in order.

        Args:
            texts: Prepared.
            remember: Whether their vectors may be kept: those of the catalogue, never a user's.
        """
        if self.missing:
            return [Answer("", None, {}, _reasons(self.missing, *one.notes)) for one in texts]
        keys = [content_key(one, self._encoder.space) for one in texts]
        vectors = self._vectors(texts, keys, remember=remember)
        good = [
            (at, Embedded(texts[at], vector))
            for at, vector in enumerate(vectors)
            if not isinstance(vector, Failure)
        ]
        batch = [one for _, one in good]
        columns = {name: finder.infer(batch) for name, finder in self._finders.items()}
        answers = {
            at: self._answer(
                keys[at], one, {name: column[place] for name, column in columns.items()}
            )
            for place, (at, one) in enumerate(good)
        }
        return [
            vector if isinstance(vector, Failure) else answers[at]
            for at, vector in enumerate(vectors)
        ]

    def _answer(self, content: str, one: Embedded, said: Mapping[str, Any]) -> Answer:
        """A finder that fails leaves its part out and says so; the vector is not lost with it."""
        found, missing = {}, []
        for name, value in said.items():
            if isinstance(value, Failure):
                missing.append(f"no {name}: {value.reason}")
            else:
                found[name] = value
        return Answer(content, one.vector, found, _reasons(self._note, *one.text.notes, *missing))

    def _vectors(
        self, texts: Sequence[Text], keys: Sequence[str], *, remember: bool
    ) -> list[Vector | Failure]:
        known = {key: self._remembered.get(key) for key in keys}
        asked: dict[str, Text] = {}
        for key, text in zip(keys, texts, strict=True):
            if known[key] is None:
                asked.setdefault(key, text)
        found: dict[str, Vector | Failure] = {
            key: vector for key, vector in known.items() if vector is not None
        }
        for key, answer in zip(asked, self._encoder.infer(list(asked.values())), strict=True):
            if isinstance(answer, Failure):
                found[key] = answer
                continue
            packed = pack(answer)
            found[key] = unpack(packed)
            if remember:
                self._remembered.put(key, packed)
        self.misses += len(asked)
        self.hits += len(keys) - len(asked)
        return [found[key] for key in keys]


def _reasons(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)
