"""Records of `headwater.strategy` and what `headwater.outcomes` says to the job `learn`, as JSON.

    {"kind": "weights", "tenant": "default", "event_time": 1795570076953,
     "model": "itemcf-1.1834", "values": {"c0": 4.21, "genre": 0.35}}

The topic is compacted; the key of weights is `weights/<tenant>`. Records of another kind belong to
other readers.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from operators.events import Rejected
from operators.messages import Gradient, NewWeights

WEIGHTS = "weights"


class _Record(Struct):
    kind: str


class _Weights(Struct):
    tenant: str
    event_time: int
    model: str
    values: dict[str, float]


class _Outcome(Struct):
    event_id: str
    event_time: int
    tenant: str = "default"
    gradient: dict[str, float] | None = None


def parse_weights(value: bytes | None) -> NewWeights | Rejected | None:
    """The weights of a record; None for a deletion and for a record of another kind."""
    if value is None:
        return None
    try:
        if msgspec.json.decode(value, type=_Record).kind != WEIGHTS:
            return None
        record = msgspec.json.decode(value, type=_Weights)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _refused("strategy", error)
    if not _finite(record.values):
        return Rejected("contract", f"weights have to be finite numbers, got {record.values}")
    return NewWeights(record.event_time, "", record.tenant, record.model, record.values)


def parse_gradient(value: bytes | None) -> Gradient | Rejected | None:
    """What an outcome says about the weights; None where it says nothing."""
    if value is None:
        return None
    try:
        record = msgspec.json.decode(value, type=_Outcome)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _refused("outcomes", error)
    if not record.gradient:
        return None
    if not _finite(record.gradient):
        return Rejected("contract", f"a gradient has finite numbers, got {record.gradient}")
    return Gradient(record.event_time, record.event_id, record.tenant, record.gradient)


def record_of(weights: NewWeights) -> tuple[str, str]:
    """Key and value of the record of weights."""
    record: dict[str, Any] = {
        "kind": WEIGHTS, "tenant": weights.tenant, "event_time": weights.time_ms,
        "model": weights.model, "values": weights.values,
    }  # fmt: skip
    return f"{WEIGHTS}/{weights.tenant}", msgspec.json.encode(record).decode()


def _finite(values: Mapping[str, float]) -> bool:
    return all(map(math.isfinite, values.values()))


def _refused(topic: str, error: Exception) -> Rejected:
    return Rejected("contract", f"not a record of {topic}: {error}")
