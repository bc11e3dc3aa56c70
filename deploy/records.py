"""What topics hold: every record from their beginning up to where they end now."""

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from deploy.errors import HeadwaterError
from jobs.access import python_client
from jobs.settings import Kafka

TIMEOUT_S = 20.0
POLL_S = 0.2
BATCH = 2000
"""Records asked for at once: the client waits for all of them, so not for long."""


class UnreadError(HeadwaterError):
    """Kafka does not hand out what it holds."""


def records(kafka: Kafka, topics: Sequence[str], *, needed: bool = False) -> Iterator[Any]:
    """All records of these topics, `confluent_kafka` messages, partition by partition as they come.

    Args:
        kafka: Where, and how to log in.
        topics: Their names.
        needed: Whether it is an error that one of them does not exist.

    Raises:
        UnreadError: Kafka does not answer, or has no such topic.
        SettingsError: There is no way to log in.
    """
    from confluent_kafka import Consumer, KafkaException

    consumer: Any = Consumer(
        {
            **python_client(kafka), "group.id": f"headwater-read-{uuid.uuid4()}", "log_level": 0,
            "enable.auto.commit": False, "enable.partition.eof": True,
        }
    )  # fmt: skip
    try:
        ends = _ends(consumer, kafka, topics, needed=needed)
        consumer.assign([place for place, _ in ends.values()])
        while ends:
            for message in _next(consumer, kafka):
                where = message.topic(), message.partition()
                if where not in ends:
                    continue
                end = ends[where][1]
                over = message.error() is not None or message.offset() + 1 >= end
                if message.error() is None and message.offset() < end:
                    yield message
                if over:
                    del ends[where]
    except KafkaException as error:
        raise UnreadError(_unread(kafka, error.args[0].str())) from error
    finally:
        consumer.close()


_Ends = dict[tuple[str, int], tuple[Any, int]]
"""By topic and partition, where reading begins, and where it ends."""


def _ends(consumer: Any, kafka: Kafka, topics: Sequence[str], *, needed: bool) -> _Ends:
    """Of the partitions that hold anything."""
    from confluent_kafka import TopicPartition

    present, ends = consumer.list_topics(timeout=TIMEOUT_S).topics, {}
    for topic in topics:
        if topic not in present:
            if needed:
                raise UnreadError(_unread(kafka, f"there is no topic {topic}"))
            continue
        for number in present[topic].partitions:
            place = TopicPartition(topic, number)
            low, high = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
            if low < high:
                ends[topic, number] = TopicPartition(topic, number, low), high
    return ends


def _next(consumer: Any, kafka: Kafka) -> list[Any]:
    """The next records and ends of partitions; compaction may have taken the last record."""
    from confluent_kafka import KafkaError

    deadline_s = time.monotonic() + TIMEOUT_S
    while not (messages := consumer.consume(BATCH, POLL_S)):
        if time.monotonic() > deadline_s:
            raise UnreadError(_unread(kafka, f"nothing for {TIMEOUT_S:g} s"))
    for message in messages:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise UnreadError(_unread(kafka, error.str()))
    return list(messages)


def _unread(kafka: Kafka, why: str) -> str:
    return f"Kafka at {kafka.bootstrap} does not hand out its records: {why}"
