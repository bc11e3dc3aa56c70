"""Asks for the erasure of a user and waits until the rows are gone."""

import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from deploy.errors import HeadwaterError
from jobs.access import python_client
from jobs.settings import Kafka
from operators.events import Erase

SEND_TIMEOUT_S = 10.0
TIMEOUT_S = 60.0
POLL_S = 0.2


class ErasureError(HeadwaterError):
    """The event did not reach Kafka, or the rows stay."""


class Client(Protocol):
    """What is used of `confluent_kafka.Producer`."""

    def produce(
        self, topic: str, *, value: bytes, key: bytes, on_delivery: Callable[[Any, Any], None]
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


def undelivered(client: Client, topic: str, user: str, value: bytes) -> str:
    """Send one record of a user and wait for Kafka; why it did not arrive, empty if it did."""
    failures: list[str] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failures.append(str(error))

    client.produce(topic, value=value, key=user.encode(), on_delivery=delivered)
    left = client.flush(2 * SEND_TIMEOUT_S)
    return failures[0] if failures else "no answer" if left else ""


def ask(client: Client, topic: str, tenant: str, user: str, now_ms: int) -> Erase:
    """Send the event: all of the user up to now is to be forgotten.

    Raises:
        ErasureError: It did not arrive.
    """
    event = Erase(
        event_id=f"erase-{uuid.uuid4().hex}", event_time=now_ms, user_id=user, tenant=tenant
    )
    if why := undelivered(client, topic, user, msgspec.json.encode(event)):
        msg = f"the erase event of {user} did not reach Kafka ({why}): does it run?"
        raise ErasureError(msg)
    return event


def until_gone(
    is_there: Callable[[], bool],
    user: str,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """Wait until no row of the user is there; gives the seconds it took.

    Raises:
        ErasureError: They stay.
    """
    began_s = clock()
    while is_there():
        if clock() - began_s > TIMEOUT_S:
            msg = (
                f"rows of {user} are still there after {TIMEOUT_S:.0f} s; the event is in Kafka "
                "and counts as soon as a recommend job reads it: see `headwater submit recommend`"
            )
            raise ErasureError(msg)
        sleep(POLL_S)
    return clock() - began_s
