"""Catalogue records as messages for the figures stage."""

from operators.events import ID_BYTES_MAX, Item, Rejected
from operators.messages import Listed


def listed(item: Item) -> Listed:
    """What the counters need of a catalogue record."""
    return Listed(
        item.event_time, _order_id(item.item_id), item.tenant, item.item_id, item.title,
        item.categories, item.available, False,
    )  # fmt: skip


def deleted(
    key: bytes | None, time_ms: int, tenant: str = "default", *, latest_ms: int = 2**53
) -> Listed | Rejected:
    """The end of a catalogue record: a key without a value.

    Args:
        key: Of the Kafka record: the item id.
        time_ms: When the deletion was written; the record itself carries no time.
        latest_ms: A later time is wrong, and would hide all records that follow.
        tenant: A key names an item of the default tenant.
    """
    try:
        item = (key or b"").decode()
    except UnicodeDecodeError as error:
        return Rejected("contract", f"a deletion whose key is no UTF-8: {error}")
    if not 1 <= len(key or b"") <= ID_BYTES_MAX:
        reason = f"a deletion whose key has {len(key or b'')} bytes; an item id has 1 to 256"
        return Rejected("contract", reason)
    if time_ms > latest_ms:
        return Rejected("future", f"a deletion with the time {time_ms}, ahead of the clock")
    return Listed(time_ms, _order_id(item), tenant, item, item, [], False, True)


def _order_id(item: str) -> str:
    """In place of an event id: sorts records of one millisecond, before all events of it."""
    return f"\x00{item}"
