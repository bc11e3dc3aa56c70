"""The contract of everything that reads text: load once, answer batches, say what it is.

A handler lives in a process of its own kind (a pandas UDF, a command) and is driven by whoever
batches. It answers every input of a batch, in order, with a result or with a `Failure`: one text
that cannot be read never takes the others with it.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

I_contra = TypeVar("I_contra", contravariant=True)
O_co = TypeVar("O_co", covariant=True)

Vector = NDArray[np.float32]
Phase = Literal["before", "in", "after"]
Role = Literal["query", "passage"]


class Failure(Struct, frozen=True):
    """A text that got no answer.

    Attributes:
        phase: Before inference (nothing to read), in it (the model refused), or after it (what
            came out is no number).
        reason: A sentence for a dead letter; holds no user text.
    """

    phase: Phase
    reason: str


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large one call of the model may be.

    Attributes:
        texts: Texts of a batch at most.
        tokens: Tokens of a batch at most, padding included; one text may exceed it alone.
        padding: Share of a batch that may be padding, 0 to 1.
    """

    texts: int = 128
    tokens: int = 4096
    padding: float = 0.15


class Space(Struct, frozen=True, kw_only=True):
    """Where vectors live; those of two spaces are never compared.

    Attributes:
        model: Name and fingerprint of the encoder, with what changes its numbers (cut, prefixes).
        map_version: Of the linear map behind it; `0` is none.
        dimensions: Length of a vector.
        precision: `int8` if the weights are cut to eight bits; float16 counts as float32. Vectors
            of both precisions are not mixed, but what is trained on one may serve the other.
    """

    model: str
    map_version: str
    dimensions: int
    precision: Literal["float32", "int8"] = "float32"

    def __str__(self) -> str:
        mark = "+int8" if self.precision == "int8" else ""
        return f"{self.model}{mark}/{self.map_version}"


class Text(Struct, frozen=True, kw_only=True):
    """A prepared text, see `udfs.text.prepare`.

    Attributes:
        text: Normalised, without markup, cut.
        language: ISO 639-1, or `und` if there are no letters to tell.
        role: Which prefix the encoder puts in front: `passage` for items, `query` for the rest.
        notes: What was mended on the way, for people: a cut, bytes that are not UTF-8, a wrong tag.
    """

    text: str
    language: str
    role: Role = "query"
    notes: tuple[str, ...] = ()


class Named(Struct, frozen=True):
    """A topic or tag and its weight, 0 to 1."""

    name: str
    weight: float


class Handler(Protocol[I_contra, O_co]):
    """See the module.

    Attributes:
        name: What it finds out, such as `embedding` or `sentiment`.
        model: What its answers depend on besides the text; part of every cache key.
        limits: Bounds of one call of the model; `infer` splits larger batches itself.
    """

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def limits(self) -> Limits: ...

    def load(self) -> None:
        """Read the model; expensive, once a process.

        Raises:
            ModelError: It is not there or does not fit.
        """

    def infer(self, batch: Sequence[I_contra]) -> Sequence[O_co | Failure]:
        """One answer an input, in order; the batch may be of any size, also empty."""


class Embedded(NamedTuple):
    """A text with its vector: what the handlers behind the encoder see."""

    text: Text
    vector: Vector
