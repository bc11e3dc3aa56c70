"""Events of users who never came before: whether their rows are there tells what has been served.

A probe measures freshness from outside: an event is sent, and Cassandra is asked for the user's
row until it is there. A marker at the end of each partition tells when all before it was served.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from deploy.bench.counters import Latencies, of_values
from deploy.bench.generate import CLIENT
from deploy.bench.job import Names
from deploy.bench.options import BenchError
from deploy.bench.workload import event_body, stamped

ANY_PARTITION = -1
_LOST_S = 120.0
_LOOKS_MAX = 1
_FLUSH_S = 30.0
_MARKER_POLL_S = 0.1


class Channel:
    """Sends single events and looks for rows.

    Args:
        bootstrap: Of Kafka.
        names: Of the run.
        session: Of Cassandra.
        keyspace: Of the tables.
        surface: That lists are written for.
    """

    def __init__(
        self, bootstrap: str, names: Names, session: Any, keyspace: str, surface: str
    ) -> None:
        from confluent_kafka import Producer

        self.item = ""
        self.totals: dict[str, tuple[int, int]] = {}
        self._client = Producer({"bootstrap.servers": bootstrap, **CLIENT, "linger.ms": 0})
        self._names, self._surface, self._session = names, surface, session
        self._row = session.prepare(
            f"SELECT as_of FROM {keyspace}.recommendations "
            "WHERE tenant = ? AND user_id = ? AND surface = ?"
        )

    def send(self, user: str, time_ms: int, partition: int | None = None) -> None:
        """Send one event of a user on `item`, to a partition if it matters which.

        Raises:
            BenchError: No item is known: the job would refuse the event.
        """
        if not self.item:
            msg = "no item is known yet: those of a data set come among its events; give a --warmup"
            raise BenchError(msg)
        body = event_body(self._names.tenant, user, user, self.item, "view")
        self._client.produce(
            self._names.events,
            stamped(body, time_ms),
            user.encode(),
            partition=ANY_PARTITION if partition is None else partition,
        )
        self._client.poll(0)
        self.totals[user] = (1, time_ms)

    def flush(self) -> None:
        """Wait until Kafka has all of them.

        Raises:
            BenchError: It does not take them.
        """
        if self._client.flush(_FLUSH_S):
            msg = f"Kafka did not take a marker within {_FLUSH_S:.0f} s"
            raise BenchError(msg)

    def readable(self, user: str) -> bool:
        """Whether the user has a list."""
        values = (self._names.tenant, user, self._surface)
        return self._session.execute(self._row, values).one() is not None


class Probes:
    """Probes by an open loop, and how long each took; `tick` does what is due.

    Args:
        send: Sends an event of a new user, stamped with the time it was due, ms.
        readable: Whether that user has a row.
        per_s: Probes a second.
        wall_ms: Milliseconds since 1970.
    """

    def __init__(
        self,
        send: Callable[[str, int], None],
        readable: Callable[[str], bool],
        per_s: float,
        wall_ms: Callable[[], float] = lambda: time.time_ns() / 1e6,
    ) -> None:
        self._send, self._readable, self._wall_ms = send, readable, wall_ms
        self._gap_ms, self._next_ms = 1000 / per_s, wall_ms()
        self._waiting: dict[str, int] = {}
        self._prefix = f"probe-{self._next_ms:.0f}"
        self.found_ms: list[float] = []
        self.sent = self.lost = 0

    def tick(self, *, sending: bool = True) -> bool:
        """Send what is due, look for some rows that are awaited; whether any still is."""
        while sending and self._wall_ms() >= self._next_ms:
            user = f"{self._prefix}-{self.sent:06d}"
            self._send(user, int(self._next_ms))
            self._waiting[user] = int(self._next_ms)
            self.sent += 1
            self._next_ms += self._gap_ms
        # A few at a time if there are many: looking must not become a load of its own.
        for user, due_ms in list(self._waiting.items())[:_LOOKS_MAX]:
            del self._waiting[user]
            if self._readable(user):
                self.found_ms.append(self._wall_ms() - due_ms)
            elif self._wall_ms() - due_ms > 1000 * _LOST_S:
                self.lost += 1
            else:
                self._waiting[user] = due_ms
        return bool(self._waiting)

    def latencies(self) -> Latencies:
        """Event to row, of the probes that were found."""
        return of_values(self.found_ms)


class Prober:
    """Runs probes in a thread: sends until it is told to stop, then waits for the last of them."""

    def __init__(self, probes: Probes, poll_s: float) -> None:
        self.probes = probes
        self._poll_s, self._ending = poll_s, threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def __enter__(self) -> "Prober":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def stop(self) -> None:
        """Send no more."""
        self._ending.set()

    def finish(self) -> None:
        """Wait for the rows of those sent.

        Raises:
            BenchError: A look has failed.
        """
        self.__exit__()
        if self._error:
            msg = f"probing failed: {self._error}"
            raise BenchError(msg) from self._error

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                self.probes.tick()
                time.sleep(self._poll_s)
            while self.probes.tick(sending=False):
                time.sleep(self._poll_s)
        except Exception as error:
            self._error = error


class Progress:
    """Markers in every partition, one after the other: how far the rows have come.

    Args:
        channel: Sends and looks.
        partitions: Of the events' topic.

    Attributes:
        found: Markers that were found so far.
    """

    def __init__(self, channel: Channel, partitions: int) -> None:
        self._channel, self._partitions = channel, partitions
        self._made = self.found = 0
        self._waiting: list[list[tuple[str, int]]] = [[] for _ in range(partitions)]
        self._passed = [0] * partitions

    def mark(self, counts: Sequence[int]) -> None:
        """Put a marker behind what the partitions hold.

        Args:
            counts: Records in each partition so far.
        """
        for partition in range(self._partitions):
            user = f"marker-{self._made:04d}-{partition}"
            self._channel.send(user, time.time_ns() // 1_000_000, partition)
            self._waiting[partition].append((user, counts[partition]))
        self._channel.flush()
        self._made += 1

    def look(self) -> tuple[int, bool]:
        """Records before the last marker that was found in each partition; whether it is all."""
        for partition, waiting in enumerate(self._waiting):
            while waiting and self._channel.readable(waiting[0][0]):
                self._passed[partition] = waiting.pop(0)[1]
                self.found += 1
        return sum(self._passed), not any(self._waiting)

    def wait(self, patience_s: float, tell: Callable[[int], object] = lambda _: None) -> float:
        """Wait until the last marker is readable; gives the monotonic time of that.

        Raises:
            BenchError: It took longer than the patience.
        """
        deadline = time.monotonic() + patience_s
        while True:
            passed, complete = self.look()
            tell(passed)
            now_s = time.monotonic()
            if complete:
                return now_s
            if now_s > deadline:
                msg = (
                    f"after {patience_s:.0f} s rows of only {passed} records are there: the job "
                    "is slower than the load or stands still; see Flink's page, or raise --patience"
                )
                raise BenchError(msg)
            time.sleep(_MARKER_POLL_S)
