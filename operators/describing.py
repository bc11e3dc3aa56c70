"""Records of `understand` as messages for the stages."""

from collections.abc import Sequence

from operators.events import EMOTIONS, ID_BYTES_MAX, Border, Rejected, Written
from operators.features_wire import (
    Complete,
    FeatureRecord,
    ItemFeatures,
    ItemGone,
    Named,
    TextSignal,
    parse_features,
    parse_signal,
    vector_of,
)
from operators.messages import About, Featured
from operators.packing import code_of

TAGS_MAX = 8
TOPICS_MAX = 3


def featured(
    key: bytes | None, value: bytes | None, at_ms: int, now_ms: int, border: Border
) -> Featured | Rejected | None:
    """The message of one record of `headwater.item-features`; None where it moves nothing.

    Args:
        key: Of the record.
        value: Of the record; None deletes the features of the key in the default tenant.
        at_ms: When the record was written: the time of a deletion, which carries none.
        now_ms: The clock.
        border: Limits.
    """
    record = _too_long(value, border) or parse_features(key, value)
    if isinstance(record, Rejected | Complete):
        return record if isinstance(record, Rejected) else None
    time_ms = record.event_time if isinstance(record, ItemFeatures) else at_ms
    refused = _refused(record, time_ms, now_ms + border.future_max_ms)
    if refused is not None:
        return refused
    if isinstance(record, ItemGone):
        return Featured(at_ms, _order_id(record.item_id), "default", record.item_id, None, [])
    tags = _best(record.topics, record.tags)
    vector = vector_of(record)
    code = code_of(vector) if vector is not None else b""
    return Featured(
        record.event_time, _order_id(record.item_id), record.tenant, record.item_id,
        About(record.model, code, tags, record.sentiment),
        [(near.item_id, near.similarity) for near in record.neighbours],
    )  # fmt: skip


def written(value: bytes | None, now_ms: int, border: Border) -> Written | Rejected:
    """What one record of `headwater.text-signals` says, for the admission stage.

    Args:
        value: Of the record.
        now_ms: The clock.
        border: Limits.
    """
    record = _too_long(value, border) or parse_signal(value)
    if isinstance(record, Rejected):
        return record
    refused = _refused(record, record.event_time, now_ms + border.future_max_ms)
    if refused is not None:
        return refused
    vector = vector_of(record)
    return Written(
        event_id=record.event_id, event_time=record.event_time, tenant=record.tenant,
        user_id=record.user_id, item_id=record.item_id, action=record.action,
        sentiment=record.sentiment,
        emotions={name: record.emotions[name] for name in EMOTIONS if name in record.emotions},
        tags=_best(record.topics, record.tags),
        model=record.model, code=code_of(vector) if vector is not None else b"",
    )  # fmt: skip


def _too_long(value: bytes | None, border: Border) -> Rejected | None:
    if value is None or len(value) <= border.record_bytes_max:
        return None
    reason = f"the record has {len(value)} bytes; at most {border.record_bytes_max} are read"
    return Rejected("size", reason)


def _refused(record: FeatureRecord | TextSignal, time_ms: int, latest_ms: int) -> Rejected | None:
    """What the wire's own types do not check: the length of ids, a time ahead of the clock."""
    ids = {name: getattr(record, name) for name in ("event_id", "user_id", "item_id")
           if getattr(record, name, None) is not None}  # fmt: skip
    if isinstance(record, ItemFeatures):
        longest = max((near.item_id for near in record.neighbours), key=_bytes, default="")
        ids["neighbours.item_id"] = longest or record.item_id
    for name, one in ids.items():
        if not 1 <= _bytes(one) <= ID_BYTES_MAX:
            reason = f"`{name}` has {_bytes(one)} bytes; an id has 1 to {ID_BYTES_MAX}"
            return Rejected("contract", reason)
    if time_ms > latest_ms:
        return Rejected("future", f"event_time {time_ms} lies ahead of the clock")
    return None


def _bytes(text: str) -> int:
    return len(text.encode())


def _best(topics: Sequence[Named], tags: Sequence[Named]) -> list[tuple[str, float]]:
    """The heaviest words, each once.

    The first topics have their places whatever they weigh: a tag weighs 1 in every text, while
    topics are what the texts of a user's items have in common.
    """
    weights = {one.name: one.weight for one in topics[:TOPICS_MAX]}
    others = [*topics[TOPICS_MAX:], *tags]
    for one in sorted(others, key=lambda tag: (-tag.weight, tag.name)):
        if one.name in weights or len(weights) < TAGS_MAX:
            weights[one.name] = max(one.weight, weights.get(one.name, one.weight))
    return sorted(weights.items(), key=lambda word: (-word[1], word[0]))


def _order_id(item: str) -> str:
    """In place of an event id: sorts after the catalogue of one millisecond, before its events."""
    return f"\x01{item}"
