"""Typed records to Kafka: keys, times, back-pressure, and a count of what did not arrive."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka import Producer as KafkaClient

from deploy.errors import HeadwaterError
from operators.events import Event, Item, subject_of

EVENTS_TOPIC = "headwater.events"
ITEMS_TOPIC = "headwater.items"

_CONNECT_TIMEOUT_S = 10.0
_FLUSH_TIMEOUT_S = 90.0
_POLL_EVERY = 1000
_SETTINGS = {
    "client.id": "headwater-replay",
    # The same partition for a key as the Java client gives it, and so as Flink's sinks.
    "partitioner": "murmur2_random",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 20,
    "message.timeout.ms": 60_000,
    # The client's own limit is below the contract's, and counts before compression.
    "message.max.bytes": 2_000_000,
    # A callback for every record would cost more than the record.
    "delivery.report.only.error": True,
    # What goes wrong is told by the delivery reports and by `connect`.
    "log_level": 0,
}


class KafkaUnreachableError(HeadwaterError):
    """No broker answers; the text says where, and what to do."""


class Client(Protocol):
    """What is used of `confluent_kafka.Producer`."""

    def produce(
        self,
        topic: str,
        *,
        value: bytes,
        key: bytes | None,
        timestamp: int,
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        """Queue a record; BufferError if the queue is full."""

    def poll(self, timeout: float) -> int:
        """Run callbacks that are due, wait up to `timeout` seconds for one."""

    def flush(self, timeout: float) -> int:
        """Wait until the queue is empty; gives the number of records still in it."""


def connect(bootstrap: str, access: Mapping[str, str] | None = None) -> Client:
    """Make a client: idempotent, lz4, 20 ms linger, partitions like the Java client's.

    Args:
        bootstrap: Servers.
        access: Client settings of one who has to log in.

    Raises:
        KafkaUnreachableError: If no broker answers within ten seconds, or a topic is missing.
    """
    client = KafkaClient({**_SETTINGS, **(access or {}), "bootstrap.servers": bootstrap})
    try:
        topics = client.list_topics(timeout=_CONNECT_TIMEOUT_S).topics
    except KafkaException as error:
        msg = (
            f"no Kafka answers at {bootstrap} ({error.args[0].str()}); start one with "
            "`headwater up`, or name one with --bootstrap or HEADWATER_KAFKA"
        )
        raise KafkaUnreachableError(msg) from error
    if missing := [topic for topic in (ITEMS_TOPIC, EVENTS_TOPIC) if topic not in topics]:
        msg = (
            f"Kafka at {bootstrap} has no topic {' and no '.join(missing)}; "
            "`headwater up` or `headwater provision` creates them"
        )
        raise KafkaUnreachableError(msg)
    return client


class Producer:
    """Sends events and items.

    Order holds within each topic and key, not between the topics: an event may arrive before the
    item it names, which the jobs put up with.

    Attributes:
        sent: Records handed over.
        failed: Records that are known not to have arrived.
        first_failure: Why the first of them did not.

    Example:
        with Producer(connect("127.0.0.1:9092")) as producer:
            producer.send_event(event)
    """

    def __init__(self, client: Client) -> None:
        """Send with a client, which `connect` makes."""
        self.sent, self.failed, self.first_failure = 0, 0, ""
        self._client = client
        self._encode = msgspec.json.Encoder().encode

    @property
    def delivered(self) -> int:
        """Records that arrived; exact after `flush`, before it those under way are counted in."""
        return self.sent - self.failed

    def send_event(self, event: Event) -> None:
        """Queue an event under its user or session; waits while the queue is full."""
        self._send(EVENTS_TOPIC, subject_of(event), event)

    def send_item(self, item: Item) -> None:
        """Queue an item under its id; waits while the queue is full."""
        self._send(ITEMS_TOPIC, item.item_id, item)

    def flush(self, timeout_s: float = _FLUSH_TIMEOUT_S) -> int:
        """Wait until all records have arrived or failed; gives the number that failed so far.

        A record that is still under way when the time is over counts as failed.
        """
        if left := self._client.flush(timeout_s):
            self._fail(left, f"still under way after {timeout_s:g} s")
        return self.failed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()

    def _send(self, topic: str, key: str | None, record: Event | Item) -> None:
        value = self._encode(record)
        raw_key = key.encode() if key else None
        while True:
            try:
                self._client.produce(
                    topic,
                    key=raw_key,
                    value=value,
                    # To the client, 0 means now.
                    timestamp=record.event_time or 1,
                    on_delivery=self._on_delivery,
                )
                break
            except BufferError:
                self._client.poll(0.1)
            except KafkaException as error:
                self._fail(1, str(error))
                break
        self.sent += 1
        if self.sent % _POLL_EVERY == 0:
            self._client.poll(0)

    def _on_delivery(self, error: object, _: object) -> None:
        if error is not None:
            self._fail(1, str(error))

    def _fail(self, count: int, reason: str) -> None:
        self.failed += count
        self.first_failure = self.first_failure or reason
