"""The topics of a running system up to a time, as the files that a replay reads."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

import msgspec
from msgspec import Struct

from deploy.evaluation.sources import EvaluationError
from deploy.evaluation.stream import Catalogue
from jobs.settings import Kafka
from operators.events import Border, Item, Rejected, parse_event, parse_item

TIMEOUT_S = 20.0
POLL_S = 0.2
BATCH = 2000
_ALWAYS_MS = 2**53


class Fetched(Struct, kw_only=True):
    """What was found.

    Attributes:
        events: Written, with a time up to the asked one.
        refused: Records that keep no contract; the job refused them then, too.
        deleted: Deletions of items, which a file cannot hold: their items may be listed.
    """

    events: int = 0
    refused: int = 0
    deleted: int = 0

    def notes(self) -> list[str]:
        """What a person should know of it."""
        said = {
            "records that keep no contract, refused then as now": self.refused,
            "deletions of items are not replayed, what they took away may be listed": self.deleted,
        }
        return [f"{count:,} {what}" for what, count in said.items() if count]


def fetch(
    kafka: Kafka, tenant: str, at_ms: int, folder: Path, on_record: Callable[[int], object]
) -> tuple[Fetched, Catalogue]:
    """Write FOLDER/events in order of time and FOLDER/items, up to and including a time.

    Those of one tenant: nothing of another one's moves its lists.

    Raises:
        EvaluationError: Kafka does not answer or has no such topic.
    """
    found, catalogue, border = Fetched(), Catalogue(titles={}, categories={}), Border()
    encode = msgspec.json.encode
    events: list[tuple[int, str, bytes]] = []
    for number, raw in enumerate(_records(kafka, kafka.events)):
        on_record(number)
        event = parse_event(raw, _ALWAYS_MS, border)
        if isinstance(event, Rejected):
            found.refused += 1
        elif event.event_time <= at_ms and event.tenant == tenant:
            events.append((event.event_time, event.event_id, encode(event)))
    events.sort()
    found.events = len(events)
    (folder / "events").write_bytes(b"".join(line + b"\n" for _, _, line in events))
    with (folder / "items").open("wb") as file:
        for raw in _records(kafka, kafka.items):
            item = parse_item(raw, _ALWAYS_MS, border)
            if raw is None:
                found.deleted += 1
            elif _is_listed(item, tenant, at_ms):
                catalogue.add(item)
                file.write(encode(item) + b"\n")
    return found, catalogue


def _is_listed(item: Item | Rejected, tenant: str, at_ms: int) -> TypeGuard[Item]:
    return isinstance(item, Item) and item.tenant == tenant and item.event_time <= at_ms


def _records(kafka: Kafka, topic: str) -> Iterator[bytes | None]:
    """Values of all records that a topic has now, partition by partition as they come."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer: Any = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap, "group.id": f"headwater-history-{uuid.uuid4()}",
            "enable.auto.commit": False, "log_level": 0, **kafka.properties,
        }
    )  # fmt: skip
    try:
        partitions = consumer.list_topics(topic, TIMEOUT_S).topics[topic].partitions
        ends = {}
        for number in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), TIMEOUT_S)
            if high > low:
                ends[number] = (low, high)
        consumer.assign([TopicPartition(topic, one, low) for one, (low, _) in ends.items()])
        left = set(ends)
        while left:
            for message in _next(consumer, kafka, topic):
                number = message.partition()
                if message.offset() < ends[number][1]:
                    yield message.value()
                if message.offset() + 1 >= ends[number][1]:
                    left.discard(number)
    except KafkaException as error:
        raise EvaluationError(_silent(kafka, topic, error.args[0].str())) from error
    finally:
        consumer.close()


def _next(consumer: Any, kafka: Kafka, topic: str) -> list[Any]:
    """The next records; the client waits for a whole batch, so not for long at a time."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not (messages := consumer.consume(BATCH, POLL_S)):
        if time.monotonic() > deadline_s:
            raise EvaluationError(_silent(kafka, topic, "records stay away"))
    for message in messages:
        if message.error():
            raise EvaluationError(_silent(kafka, topic, message.error().str()))
    return list(messages)


def _silent(kafka: Kafka, topic: str, why: str) -> str:
    return (
        f"topic {topic} at Kafka {kafka.bootstrap} cannot be read: {why}. --config names the "
        "settings with its address; with a data set instead, no Kafka is needed"
    )
