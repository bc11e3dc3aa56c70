"""Records of topics decoded and checked once: each a message for a bucket, or why it is refused.

A record that says nothing to the stages (of another kind, or the end of one) is None.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from operators.describing import featured, written
from operators.events import Border, Interaction, Rejected, parse_event, parse_item, subject_of
from operators.framing import Framed
from operators.listing import deleted, listed
from operators.messages import Featured, Listed
from operators.stage import bucket_of, scoped
from operators.strategy import parse_gradient, parse_weights


class Parsed(NamedTuple):
    """A message.

    Attributes:
        bucket: That it goes to.
        message: For a stage.
        delayed: Whether it came more than `late_ms` behind the clock; it counts all the same.
    """

    bucket: int
    message: Any
    delayed: bool = False


Parse = Callable[[Framed, int], Parsed | Rejected | None]
"""Of a record and the clock, in milliseconds."""


def of_events(
    record: Framed, now_ms: int, border: Border, buckets: int, late_ms: int
) -> Parsed | Rejected:
    """A record of `headwater.events` for the admission stage, by user."""
    event = parse_event(record.value, now_ms, border)
    if isinstance(event, Rejected):
        return event
    delayed = event.event_time < now_ms - late_ms
    if isinstance(event, Interaction) and event.text and event.action != "mood":
        event = msgspec.structs.replace(event, text="")  # read by another job
    subject = subject_of(event) or ""
    return Parsed(bucket_of(scoped(event.tenant, subject), buckets), event, delayed)


def of_items(record: Framed, now_ms: int, border: Border, buckets: int) -> Parsed | Rejected:
    """A record of `headwater.items` for the figures stage, by item; no value deletes the key."""
    if record.value is None:
        latest_ms = now_ms + border.future_max_ms
        message = deleted(record.key, record.arrived_ms, latest_ms=latest_ms)
    else:
        item = parse_item(record.value, now_ms, border)
        message = item if isinstance(item, Rejected) else listed(item)
    return message if isinstance(message, Rejected) else _by_item(message, buckets)


def of_features(
    record: Framed, now_ms: int, border: Border, buckets: int
) -> Parsed | Rejected | None:
    """A record of `headwater.item-features` for the content stage, by item.

    A marker that a model version is complete moves nothing here, for nothing here compares
    vectors of two versions.
    """
    message = featured(record.key, record.value, record.arrived_ms, now_ms, border)
    if message is None or isinstance(message, Rejected):
        return message
    return _by_item(message, buckets)


def _by_item(message: Listed | Featured, buckets: int) -> Parsed:
    return Parsed(bucket_of(scoped(message.tenant, message.item), buckets), message)


def of_signals(record: Framed, now_ms: int, border: Border, buckets: int) -> Parsed | Rejected:
    """A record of `headwater.text-signals` for the admission stage, by user."""
    message = written(record.value, now_ms, border)
    if isinstance(message, Rejected):
        return message
    return Parsed(bucket_of(scoped(message.tenant, message.user_id), buckets), message)


def of_weights(record: Framed, now_ms: int) -> Parsed | Rejected | None:
    """A record of `headwater.strategy` for the ranking; it is for all of its buckets."""
    message = parse_weights(record.value)
    return message if message is None or isinstance(message, Rejected) else Parsed(0, message)


def of_outcomes(record: Framed, now_ms: int, buckets: int) -> Parsed | Rejected | None:
    """A record of `headwater.outcomes` for the learning stage, by tenant."""
    message = parse_gradient(record.value)
    if message is None or isinstance(message, Rejected):
        return message
    return Parsed(bucket_of(message.tenant, buckets), message)
