"""The load of a drill: users with a taste act on items; what was sent is counted."""

import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from deploy.errors import HeadwaterError

ACTIONS = ("view", "click", "like", "purchase")
TASTES = 4
STEP_S = 0.05
DELIVERY_S = 300.0

Record = tuple[str, bytes, bytes]
"""User, key and value of one event."""


class LoadError(HeadwaterError):
    """Kafka did not take all of the load."""


class Population(Struct, frozen=True, kw_only=True):
    """Who acts on what.

    Attributes:
        tenant: Of all records.
        users: Number of users.
        items: Number of items of each of `TASTES` tastes.
        seed: Of the chance.
    """

    tenant: str
    users: int = 200
    items: int = 25
    seed: int = 1

    def names(self) -> list[str]:
        """All users."""
        return [f"user-{number}" for number in range(self.users)]

    def catalogue(self, time_ms: int) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of each item's record."""
        for taste in range(TASTES):
            for number in range(self.items):
                item = f"item-{taste}-{number}"
                record = {
                    "tenant": self.tenant, "item_id": item, "event_time": time_ms,
                    "title": f"Title of {item}", "categories": [f"taste-{taste}"],
                }  # fmt: skip
                yield item.encode(), json.dumps(record).encode()

    def events(self, clock_ms: Callable[[int], int]) -> Iterator[tuple[str, str, Record]]:
        """User, action and record of one event after the other, without end.

        Args:
            clock_ms: Event time of the nth event.
        """
        chance, names = random.Random(self.seed), self.names()
        number = 0
        while True:
            user = chance.choice(names)
            taste = int(user.rpartition("-")[2]) % TASTES
            if chance.random() < 0.1:
                taste = chance.randrange(TASTES)
            action = chance.choice(ACTIONS)
            record = {
                "kind": "interaction", "tenant": self.tenant, "event_id": f"e{number}",
                "event_time": clock_ms(number), "user_id": user, "action": action,
                "item_id": f"item-{taste}-{chance.randrange(self.items)}",
            }  # fmt: skip
            yield user, action, (user, user.encode(), json.dumps(record).encode())
            number += 1


class Load:
    """Sends a population's records and counts them.

    Args:
        client: A `confluent_kafka.Producer` that repeats what was not acknowledged, once each.
        events: Topic.
        items: Topic.
        population: Who acts.
    """

    def __init__(self, client: Any, events: str, items: str, population: Population) -> None:
        self._client, self._events, self._items = client, events, items
        self.population = population
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.sent = 0
        self._failures: list[str] = []
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def publish(self, time_ms: int) -> None:
        """The catalogue, and wait until it has arrived."""
        for key, value in self.population.catalogue(time_ms):
            self._send(self._items, key, value)
        self.flush()

    def send_all(self, count: int, start_ms: int, step_ms: int) -> None:
        """So many events at once, their times `step_ms` apart, and wait until they have arrived."""
        stream = self.population.events(lambda number: start_ms + number * step_ms)
        for _ in range(count):
            self._next(stream)
        self.flush()

    def start(self, rate: int) -> None:
        """Send in the background, so many events a second, from now on."""

        def work() -> None:
            stream = self.population.events(lambda _: time.time_ns() // 1_000_000)
            began_s = time.monotonic()
            while not self._stopped.wait(STEP_S):
                due = int((time.monotonic() - began_s) * rate)
                while self.sent < due:
                    self._next(stream)
                self._client.poll(0)

        self._thread = threading.Thread(target=work, name="drill-load")
        self._thread.start()

    def stop(self) -> None:
        """Stop sending, and wait until all has arrived.

        Raises:
            LoadError: Something did not.
        """
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self.flush()

    def flush(self) -> None:
        """Wait until all has arrived.

        Raises:
            LoadError: Something did not.
        """
        left = self._client.flush(DELIVERY_S)
        if left or self._failures:
            why = self._failures[0] if self._failures else f"{left} records without an answer"
            msg = f"Kafka did not take all of the load: {why}"
            raise LoadError(msg)

    def raw(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """One record that is not counted."""
        self._send(topic, key, value)

    def expected(self) -> Mapping[str, Mapping[str, int]]:
        """What each user did, by action."""
        return {user: dict(counts) for user, counts in self.counts.items()}

    def _next(self, stream: Iterator[tuple[str, str, Record]]) -> None:
        user, action, (_, key, value) = next(stream)
        self._send(self._events, key, value)
        self.counts[user][action] += 1
        self.sent += 1

    def _send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        while True:
            try:
                self._client.produce(topic, value, key=key, on_delivery=self._delivered)
            except BufferError:  # the queue is full while Kafka is away
                self._client.poll(0.1)
            else:
                return

    def _delivered(self, error: object, _: object) -> None:
        if error is not None:
            self._failures.append(str(error))


def connect(settings: Mapping[str, Any]) -> Any:
    """A client that outlives the loss of Kafka and sends nothing twice."""
    from confluent_kafka import Producer

    return Producer(
        {
            "enable.idempotence": True, "message.timeout.ms": round(1000 * DELIVERY_S),
            "partitioner": "murmur2_random", "linger.ms": 5, "log_level": 0,
            "message.max.bytes": 16_000_000, **settings,
        }
    )  # fmt: skip
