"""Records that are made to break a job: refused ones, and strange ones that are legal."""

import json
import time
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from deploy.drills.load import Load
from deploy.drills.scene import Scene

READ_S = 60.0


class Poison(Struct, frozen=True):
    """One record: the kind of its topic, key and value, and whether it is to be refused."""

    topic: str
    key: bytes
    value: bytes
    refused: bool = True


def _event(**fields: Any) -> bytes:
    record = {
        "kind": "interaction", "event_id": "poison", "event_time": time.time_ns() // 1_000_000,
        "user_id": "poisoner", "item_id": "item-0-0", "action": "like",
    }  # fmt: skip
    return json.dumps({**record, **fields}).encode()


def _item(**fields: Any) -> bytes:
    record = {
        "item_id": "poison-item", "event_time": time.time_ns() // 1_000_000, "title": "Poison",
    }  # fmt: skip
    return json.dumps({**record, **fields}).encode()


def samples(tenant: str) -> list[Poison]:
    """All of them, for a tenant."""
    return [*_refused(tenant), *_strange(tenant)]


def _refused(tenant: str) -> Iterator[Poison]:
    events, items = "headwater.events", "headwater.items"
    yield Poison(events, b"p", b"\x00\xff\xfe not text")
    yield Poison(events, b"p", b"[" * 100_000)
    yield Poison(events, b"p", _event(tenant=tenant, event_time=2**60))
    yield Poison(events, b"p", _event(tenant=tenant, event_time=253402300799000))
    yield Poison(events, b"p", _event(tenant=tenant, user_id="x" * 300))
    yield Poison(events, b"p", _event(tenant="a\u0000b"))
    yield Poison(events, b"p", _event(tenant=tenant, action="rating", value=1e308))
    yield Poison(events, b"p", b"x" * 2_000_000)
    yield Poison(items, b"poison-item", _item(tenant=tenant, title="T" * 900_000))
    yield Poison(
        items, b"poison-item", _item(tenant=tenant, categories=[f"c{n}" for n in range(5000)])
    )
    yield Poison(items, b"poison-item", _item(tenant=tenant, categories=["c" * 5000]))
    yield Poison(items, b"\xff\xfe", b"{}")


def _strange(tenant: str) -> Iterator[Poison]:
    events, items = "headwater.events", "headwater.items"
    odd = "\u0000\u001f'\"\\ \U0001f4a5"
    yield Poison(items, odd.encode(), _item(tenant=tenant, item_id=odd, title=odd), False)
    for action in ("like", "purchase", "hide"):
        record = _event(tenant=tenant, event_id=f"odd-{action}", user_id=odd, item_id=odd,
                        action=action)  # fmt: skip
        yield Poison(events, odd.encode(), record, False)
    same = _event(tenant=tenant, event_id="twice", user_id="poisoner")
    yield Poison(events, b"poisoner", same, False)
    yield Poison(events, b"poisoner", same, False)


def poison(scene: Scene, load: Load | None) -> None:
    """Send all of them among the load."""
    assert load is not None
    topics = scene.names.topics()
    for one in samples(scene.names.tenant):
        load.raw(topics[one.topic], one.key, one.value)


def missing_letters(scene: Scene) -> list[str]:
    """Refused records that no dead letter holds; empty if all do.

    Dead letters come at least once: a job that goes back to a checkpoint writes some again, which
    the place of the record tells.
    """
    import base64

    places = {
        (one["topic"], one["partition"], one["offset"]): one["raw"] for one in dead_letters(scene)
    }
    letters = list(places.values())
    wanted = [one for one in samples(scene.names.tenant) if one.refused]
    if len(letters) == len(wanted):
        return []
    held = [base64.b64decode(raw)[:40] for raw in letters]
    return [f"{len(wanted)} records are refused, {len(letters)} dead letters are there: {held}"]


def dead_letters(scene: Scene) -> list[dict[str, Any]]:
    """All of the run."""
    from confluent_kafka import Consumer, TopicPartition

    topic = scene.names.topics()["headwater.dead-letters"]
    consumer = Consumer({**scene.site.client(), "group.id": scene.names.tenant, "log_level": 0})
    try:
        place = TopicPartition(topic, 0, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=READ_S)
        consumer.assign([place])
        found: list[dict[str, Any]] = []
        while len(found) < end:
            message = consumer.poll(READ_S)
            if message is None or message.error() is not None:
                break
            found.append(json.loads(message.value() or b"{}"))
        return found
    finally:
        consumer.close()
