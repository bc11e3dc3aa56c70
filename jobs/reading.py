"""What the process of the model in `understand` is made of, and what it reads at its start."""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from jobs.access import python_client
from jobs.settings import Kafka
from jobs.understand_settings import Understand
from operators.errors import HeadwaterError
from operators.own_topics import Use
from udfs.embedding import Encoder, pick_device
from udfs.errors import ModelError
from udfs.heads import versions
from udfs.models import locate
from udfs.reader import Reader, Remembered
from udfs.settings import AUTO, analyses

TIMEOUT_S = 10.0

Client = Mapping[str, str]
"""Settings of a `confluent_kafka` client."""


class TopicError(HeadwaterError):
    """Kafka does not tell what a topic holds."""


class _Published(Struct):
    """Of a record of features, what saves the model work."""

    content: str = ""
    encoded: str = ""


_PUBLISHED = msgspec.json.Decoder(_Published)


def reader(settings: Understand, client: Client | None) -> Reader:
    """The reader of a process, not loaded yet, with the vectors that were published before.

    Args:
        settings: Of the job.
        client: As in `travelling_client`.
    """
    remembered, topic = Remembered(settings.remembered), settings.kafka.item_features
    for content, packed in published(client or python_client(settings.kafka), topic):
        remembered.put(content, packed)
    chosen, note = _on_a_device(settings)
    encoder = Encoder(chosen)
    return Reader(
        encoder, partial(analyses, settings.analysis, encoder), remembered=remembered, note=note,
        degrade=settings.without_model == "degrade",
    )  # fmt: skip


def _on_a_device(settings: Understand) -> tuple[Any, str]:
    """Settings of the encoder with a device that is there, and why it is another one."""
    encoder = settings.encoder
    try:
        pick_device(encoder.device)
    except ModelError as error:
        if settings.without_model == "refuse":
            raise
        return msgspec.structs.replace(encoder, device="cpu"), f"on the CPU: {error}"
    return encoder, ""


def check_model(settings: Understand) -> None:
    """Refuse a model that is not there, before a job is submitted that would need it.

    Raises:
        ModelError: It is not there, and the settings do not allow to do without.
    """
    if settings.without_model == "refuse":
        locate(settings.encoder.model)


def use_of_own_topics(settings: Understand) -> Use:
    """What `own_topics` comes to: whether somebody said what topics there are decides `auto`.

    A folder of heads that is not here may be where the job runs, and counts as somebody's word.
    """
    if settings.own_topics != "auto":
        return settings.own_topics
    analysis = settings.analysis
    heads = Path(analysis.heads) if analysis.heads else None
    has_head = heads is not None and (not heads.is_dir() or bool(versions(heads, "topics")))
    said = has_head or analysis.prototypes is not None or analysis.topics != AUTO
    return "off" if said else "instead"


def travelling_client(kafka: Kafka) -> Client | None:
    """Settings of a Kafka client that go with the submitted job; None leaves them to the worker.

    A password in a file is read where the job runs; one in a variable is known at submission only.
    """
    return None if kafka.password_file else python_client(kafka)


def published(client: Client, topic: str) -> Iterator[tuple[str, bytes]]:
    """Content keys and vectors of all features in the topic up to its end of now.

    Raises:
        TopicError: Kafka does not answer.
    """
    for value in _values(client, topic):
        try:
            record = _PUBLISHED.decode(value)
            packed = b64decode(record.encoded, validate=True)
        except (msgspec.DecodeError, binascii.Error, UnicodeDecodeError):
            continue  # somebody else's record: the worst of it is a text that is read again
        if record.content and packed:
            yield record.content, packed


def _values(client: Client, topic: str) -> Iterator[bytes]:
    from confluent_kafka import TopicPartition

    with _consumer(client, topic) as consumer:
        ends = _ends(consumer, topic)
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        left = dict(ends)
        while left:
            for message in consumer.consume(500, TIMEOUT_S):
                value = None if message.error() else message.value()
                if value is not None:
                    yield value
            for place in consumer.position([TopicPartition(topic, number) for number in left]):
                if place.offset >= ends[place.partition]:
                    del left[place.partition]


def ends_of(kafka: Kafka, topic: str) -> Mapping[int, int]:
    """Offset behind the last record of each partition that holds any.

    Raises:
        HeadwaterError: Kafka does not answer, or the settings do not reach it.
    """
    with _consumer(python_client(kafka), topic) as consumer:
        return _ends(consumer, topic)


@contextmanager
def _consumer(client: Client, topic: str) -> Iterator[Any]:
    from confluent_kafka import Consumer, KafkaException

    consumer = Consumer(
        {
            "group.id": "headwater-understand-start",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
            **client,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        where = client["bootstrap.servers"]
        msg = f"topic {topic} at Kafka {where} cannot be read: {error.args[0].str()}"
        raise TopicError(msg) from error
    finally:
        consumer.close()


def _ends(consumer: Any, topic: str) -> dict[int, int]:
    from confluent_kafka import KafkaException, TopicPartition

    described = consumer.list_topics(topic, TIMEOUT_S).topics[topic]
    if described.error is not None:
        raise KafkaException(described.error)
    ends = {}
    for number in sorted(described.partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), TIMEOUT_S)
        if high > low:
            ends[number] = high
    return ends
