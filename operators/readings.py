"""What travels from the models to the catalogue of vectors, and from there to the topics.

A reading is what the models said of one text, without the text. Vectors are packed little-endian
float16, as the encoder gave them.
"""

from typing import Any

from msgspec import Struct

from operators.events import Interaction, Item, subject_of
from operators.features_wire import Named

Weights = list[tuple[str, float]]
"""Names and weights, heaviest first."""


class Reading(Struct, array_like=True, frozen=True, gc=False):
    """What was said of a text.

    Attributes:
        encoder: Name and fingerprint of the encoder; empty if there is no vector.
        encoded: The vector; empty if there is none.
        fallback: Why there is less than there should be; empty if there is not.
    """

    encoder: str
    encoded: bytes
    language: str
    sentiment: float
    emotions: dict[str, float]
    topics: Weights
    tags: Weights
    fallback: str


class _Message(Struct, array_like=True, frozen=True, gc=False):
    time_ms: int
    event_id: str


class ItemRead(_Message, tag=1, frozen=True, gc=False):
    """A catalogue record whose text was read; `content` is the digest of the text."""

    tenant: str
    item: str
    content: str
    reading: Reading


class ItemLeft(_Message, tag=2, frozen=True, gc=False):
    """The end of a catalogue record."""

    tenant: str
    item: str


class TextRead(_Message, tag=3, frozen=True, gc=False):
    """A text of an event; `item` is empty for a search."""

    tenant: str
    user: str
    item: str
    action: str
    reading: Reading


class CaughtUp(_Message, tag=4, frozen=True, gc=False):
    """A partition of the catalogue has been read to where it ended when the job began.

    Attributes:
        encoder: That read it.
        partitions: How many there are.
    """

    encoder: str
    partition: int
    partitions: int


class Record(Struct, array_like=True, frozen=True, gc=False):
    """A record for a topic; without a value it deletes the key.

    Attributes:
        written_us: Write time of the row in Cassandra.
    """

    key: str
    value: str | None
    written_us: int


def record_of(record: Record) -> tuple[str, str]:
    """Key and value for a topic; the empty value deletes."""
    return record.key, record.value or ""


def order(message: Any) -> tuple[int, int, str]:
    """Sort key of a batch: by time and id, and what says that all is there comes last."""
    return (int(isinstance(message, CaughtUp)), message.time_ms, message.event_id)


def item_text(item: Item) -> str:
    """What is read of a catalogue record: the title first, as a long text is cut at its end."""
    parts = [item.title, ", ".join([*item.categories, *item.tags]), item.creator, item.description]
    return ". ".join(part.strip() for part in parts if part and part.strip())


def text_read(event: Interaction, reading: Reading) -> TextRead:
    """The reading of an event's text."""
    return TextRead(
        event.event_time, event.event_id, event.tenant, subject_of(event) or "",
        event.item_id or "", event.action, reading,
    )  # fmt: skip


def item_read(item: Item, content: str, reading: Reading) -> ItemRead:
    """The reading of a catalogue record; sorts before the events of its millisecond."""
    return ItemRead(
        item.event_time, f"\x00{item.item_id}", item.tenant, item.item_id, content, reading
    )


def named(weights: Weights) -> list[Named]:
    """Names and weights as they are written."""
    return [Named(name, round(weight, 4)) for name, weight in weights]
