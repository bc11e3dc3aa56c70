r"""The wire contract of what `understand` publishes: features of items, signals of texts.

`headwater.item-features` (key: item_id, compacted) holds three kinds of records:

- an item's features, the newest of an item counts;
- a null value: the item has left the catalogue;
- a marker (`kind` is `complete`, key `\x00complete\x00<tenant>`): every item of the tenant that
  has features has them in this version from here on.

`headwater.text-signals` (key: user_id) holds one record for each text that somebody wrote.

**Versions.** `model` names the encoder, the map its vectors went through and nothing else:
`all-minilm-l6-v2-int8-5f0c9a1e/2`. Two vectors may be compared if and only if their `model` is
equal; `similarity` inside a record was always taken within one version, so it may be used
whatever other versions there are. When a new version begins (another encoder, or the map is
renewed), records of both versions are in the topic for a while: a reader stays with the version of
the last marker for all that compares vectors, and switches when the marker of the next one comes.
Before the first marker, any version that it has is as good as another. A marker is written behind
the last record of its version, but the partitions of the topic are read side by side: some of
those records may be seen a moment after it.

**Topics.** A topic is the label of a head, or a cluster of the tenant's own items: its name in the
record's language with its id behind it, such as `guitar / strap #17-3fa1`. The id stays and is
never given again, the name may become another; `operators.naming` takes the two apart.
"""

from typing import Annotated, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from operators.events import ID_BYTES_MAX, Rejected

Vector = NDArray[np.float32]

MARKER_KEY = "\x00complete\x00"
DECIMALS = 5
"""Digits of a component on the wire: a unit vector stays one to 1e-4, in half the bytes."""

_Id = Annotated[str, Meta(min_length=1, max_length=ID_BYTES_MAX)]
_TimeMs = Annotated[int, Meta(ge=0, le=2**53)]
_Polarity = Annotated[float, Meta(ge=-1, le=1)]


class Named(Struct, frozen=True):
    """A topic or a tag and how much of it there is, 0 to 1."""

    name: str
    weight: float


class Near(Struct, frozen=True):
    """A neighbour in content and its cosine, -1 to 1."""

    item_id: _Id
    similarity: float


class ItemFeatures(Struct, frozen=True, kw_only=True):
    """What an item says.

    Attributes:
        event_time: Of the catalogue record it was read from.
        model: Version of the vector, see above; empty if there is none.
        vector: Of unit length; empty if there is none, and then `fallback` says why.
        sentiment: -1 to 1.
        neighbours: Nearest items of the same version, nearest first.
        fallback: Why this is less than it should be; None if it is not.
        content: Digest of the text and the encoder: the same digest, the same `encoded`.
        encoded: What the encoder said, before the map: base64 of little-endian float16.
    """

    item_id: _Id
    event_time: _TimeMs
    model: str
    vector: list[float]
    language: str
    topics: list[Named]
    tags: list[Named]
    sentiment: _Polarity
    neighbours: list[Near]
    tenant: str = "default"
    fallback: str | None = None
    content: str = ""
    encoded: str = ""


class Complete(Struct, frozen=True, kw_only=True, tag_field="kind", tag="complete"):
    """The marker: all features of a tenant are there in this version."""

    event_time: _TimeMs
    model: str
    tenant: str = "default"


class ItemGone(Struct, frozen=True, kw_only=True):
    """The item has left the catalogue."""

    item_id: str


class TextSignal(Struct, frozen=True, kw_only=True):
    """What somebody wrote, without the text itself.

    Attributes:
        event_id: Of the event the text came with.
        user_id: Whom it is about: the user, or the session where there is no user or no consent.
        item_id: What the text is about; None for a search.
        action: Of the event: `search`, `comment`, `review`, ...
        emotions: Weight by name.
        model, vector, fallback: As in `ItemFeatures`; in the same space as the items' vectors.
    """

    event_id: _Id
    event_time: _TimeMs
    user_id: _Id
    item_id: _Id | None = None
    language: str
    sentiment: _Polarity
    emotions: dict[str, float]
    topics: list[Named]
    tags: list[Named]
    vector: list[float]
    model: str = ""
    tenant: str = "default"
    action: str = ""
    fallback: str | None = None


FeatureRecord = ItemFeatures | Complete | ItemGone

_R = TypeVar("_R", ItemFeatures, Complete, TextSignal)
_FEATURES = msgspec.json.Decoder(ItemFeatures)
_COMPLETE = msgspec.json.Decoder(Complete)
_SIGNALS = msgspec.json.Decoder(TextSignal)
_ENCODER = msgspec.json.Encoder()


def parse_features(key: bytes | None, value: bytes | None) -> FeatureRecord | Rejected:
    """Decode one record of `headwater.item-features`."""
    name = (key or b"").decode(errors="replace")
    if name.startswith(MARKER_KEY):
        if value is None:
            return Rejected("empty", "a marker without a value")
        return _decoded(_COMPLETE, value)
    if value is None:
        return ItemGone(item_id=name) if name else Rejected("empty", "neither key nor value")
    return _decoded(_FEATURES, value)


def parse_signal(value: bytes | None) -> TextSignal | Rejected:
    """Decode one record of `headwater.text-signals`."""
    if value is None:
        return Rejected("empty", "the record has no value; a JSON object is expected")
    return _decoded(_SIGNALS, value)


def _decoded(decoder: msgspec.json.Decoder[_R], value: bytes) -> _R | Rejected:
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        return Rejected("contract", f"against the contract: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected("json", f"not a JSON object in UTF-8: {error}")


def marker_key(tenant: str) -> str:
    """Key of the marker of a tenant; no item id begins like this."""
    return MARKER_KEY + tenant


def encode(record: ItemFeatures | Complete | TextSignal) -> bytes:
    """The JSON of a record."""
    return _ENCODER.encode(record)


def on_wire(vector: Vector) -> list[float]:
    """Components as they are written.

    >>> on_wire(np.array([0.6, 0.8], "f4"))
    [0.6, 0.8]
    """
    rounded: list[float] = np.round(vector.astype(np.float64), DECIMALS).tolist()
    return rounded


def vector_of(record: ItemFeatures | TextSignal) -> Vector | None:
    """The vector, float32 of unit length, or None if the record has none."""
    if not record.vector:
        return None
    vector = np.array(record.vector, dtype=np.float32)
    return vector / np.float32(np.linalg.norm(vector) or 1.0)
