"""Sends single records to Kafka and hears whether they arrived."""

from collections.abc import Callable
from typing import Any, Protocol

from jobs.access import python_client
from jobs.settings import Kafka

SEND_TIMEOUT_S = 10.0


class Client(Protocol):
    """What is used of `confluent_kafka.Producer`."""

    def produce(
        self,
        topic: str,
        *,
        value: bytes | None,
        key: bytes,
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        """Queue a record."""

    def flush(self, timeout: float) -> int:
        """Wait until the queue is empty; gives the number of records still in it."""


def connect(kafka: Kafka) -> Client:
    """A client whose records fall into the partitions of a Java program's."""
    from confluent_kafka import Producer

    settings = {
        **python_client(kafka),
        "partitioner": "murmur2_random",
        "message.timeout.ms": round(1000 * SEND_TIMEOUT_S),
        "log_level": 0,
    }
    client: Client = Producer(settings)
    return client


def undelivered(client: Client, topic: str, key: str, value: bytes | None) -> str:
    """Send one record and wait for Kafka; why it did not arrive, empty if it did."""
    failures: list[str] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failures.append(str(error))

    client.produce(topic, value=value, key=key.encode(), on_delivery=delivered)
    left = client.flush(2 * SEND_TIMEOUT_S)
    return failures[0] if failures else "no answer" if left else ""
