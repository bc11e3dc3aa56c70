"""Records for the topics: features of items, signals of texts, markers of complete versions."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from operators.features_wire import Complete, ItemFeatures, Near, TextSignal, on_wire
from operators.readings import Reading, TextRead, Weights, named
from operators.vectors import Hit
from operators.whitening import SpaceMap, Vectors


class Placed(Protocol):
    """What is used of `catalogue.ItemPlace`."""

    time_ms: int
    content: str
    reading: Reading


def features(
    tenant: str,
    item: str,
    place: Placed,
    near: Sequence[Hit],
    topics: Weights,
    space: SpaceMap,
) -> ItemFeatures:
    """What is published of an item."""
    reading = place.reading
    return ItemFeatures(
        item_id=item, event_time=place.time_ms, model=_model(reading, space),
        vector=_mapped(reading, space), language=reading.language, topics=named(topics),
        tags=named(reading.tags), sentiment=round(reading.sentiment, 4),
        neighbours=[Near(other, similarity) for other, similarity in near], tenant=tenant,
        fallback=reading.fallback or None, content=place.content,
        encoded=b64encode(reading.encoded).decode(),
    )  # fmt: skip


def signal(text: TextRead, topics: Weights, space: SpaceMap) -> TextSignal:
    """What is published of a text."""
    reading = text.reading
    emotions = {name: round(weight, 4) for name, weight in reading.emotions.items()}
    return TextSignal(
        event_id=text.event_id, event_time=text.time_ms, user_id=text.user,
        item_id=text.item or None, language=reading.language,
        sentiment=round(reading.sentiment, 4), emotions=emotions, topics=named(topics),
        tags=named(reading.tags), vector=_mapped(reading, space),
        model=_model(reading, space), tenant=text.tenant, action=text.action,
        fallback=reading.fallback or None,
    )  # fmt: skip


def _mapped(reading: Reading, space: SpaceMap) -> list[float]:
    if not reading.encoded:
        return []
    return on_wire(space.apply(wide(reading)[None])[0])


def wide(reading: Reading) -> Vectors:
    """The vector of a reading as the encoder gave it, float32."""
    encoded: NDArray[np.float16] = np.frombuffer(reading.encoded, "<f2")
    return encoded.astype(np.float32)


def _model(reading: Reading, space: SpaceMap) -> str:
    return model_of(reading.encoder, space.version) if reading.encoded else ""


def model_of(encoder: str, version: int) -> str:
    """Name of a version of vectors; two may be compared if it is the same."""
    return f"{encoder}/{version}"


def marker(tenant: str, encoder: str, version: int, time_ms: int) -> Complete:
    """That a version is complete."""
    return Complete(event_time=time_ms, model=model_of(encoder, version), tenant=tenant)
