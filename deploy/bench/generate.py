"""The generator's process: reads commands from its input, sends, answers on its output.

A process of its own, so that neither the measuring nor the looking for rows can hold it up.
Run by `generator.Generator` as `python -m deploy.bench.generate`.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
from confluent_kafka import Producer
from msgspec import Struct

from deploy.bench.cohorts import CohortsWorkload
from deploy.bench.options import Shape, Synthetic
from deploy.bench.schedule import OpenLoop
from deploy.bench.workload import (
    Listing,
    Ready,
    SourceWorkload,
    SyntheticWorkload,
    Workload,
    stamped,
)

CLIENT = {
    # The same partition for a key as the Java client gives it, as in `headwater replay`.
    "partitioner": "murmur2_random",
    "enable.idempotence": True,
    "compression.type": "lz4",
    # librdkafka sends each partition's batch as a request of its own: with few events in each that
    # is a tenth of what an event costs. It delays them, and freshness counts from when an event was
    # due.
    "linger.ms": 50,
    "message.timeout.ms": 120_000,
    # An open loop waits for nobody: the queue takes a minute at full speed.
    "queue.buffering.max.messages": 5_000_000,
    "queue.buffering.max.kbytes": 2_000_000,
    "delivery.report.only.error": True,
    "log_level": 0,
}
_FLUSH_S = 120.0
_POLL_EVERY = 1000
_IN_FLIGHT_MAX = 200_000


class Open(Struct, frozen=True, kw_only=True, tag="open"):
    """Make the workload and connect.

    Attributes:
        rate_per_s: By which made-up sessions are interleaved.
        shape: Send the cohorts of a measurement of flatness instead.
    """

    bootstrap: str
    events_topic: str
    items_topic: str
    tenant: str
    synthetic: Synthetic
    source: str | None
    rate_per_s: float
    shape: Shape | None = None


class Catalogue(Struct, frozen=True, tag="catalogue"):
    """Send all items."""


class Send(Struct, frozen=True, kw_only=True, tag="send"):
    """Send events: by an open loop at a rate, or as fast as Kafka takes them."""

    count: int
    rate_per_s: float | None


class Tally(Struct, frozen=True, tag="tally"):
    """Write what was sent for each user: `{user: [events, time of the last, ms]}`, MessagePack."""

    path: str


Command = Open | Catalogue | Send | Tally


class Sent(Struct, kw_only=True):
    """What a command has sent.

    Attributes:
        events: Sent and acknowledged by Kafka.
        items: Likewise.
        failed: Not acknowledged.
        first_failure: Why the first of them was not.
        exhausted: The data set has no more events.
        seconds: From the first event to the last one's acknowledgement.
        late_p50_ms: How long after it was due an event was handed to Kafka's client; also
            `late_p99_ms`, `late_max_ms`. 0 without a rate.
        cpu_s: CPU time of this process so far.
        item: One that was sent, empty if none was so far.
    """

    events: int = 0
    items: int = 0
    failed: int = 0
    first_failure: str = ""
    exhausted: bool = False
    seconds: float = 0.0
    late_p50_ms: float = 0.0
    late_p99_ms: float = 0.0
    late_max_ms: float = 0.0
    cpu_s: float = 0.0
    item: str = ""


class Problem(Struct, frozen=True):
    """The answer to a command that could not be followed."""

    problem: str


class Sender:
    """Sends a workload with a client of Kafka.

    Args:
        plan: Topics.
        workload: What is sent.
        client: As `confluent_kafka.Producer`.
        clock: Monotonic seconds.
        wall_ms: Milliseconds since 1970.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        plan: Open,
        workload: Workload,
        client: Any,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], float] = lambda: time.time_ns() / 1e6,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._plan, self._client = plan, client
        self._clock, self._wall_ms, self._sleep = clock, wall_ms, sleep
        self._workload = workload
        self._events: Iterator[Ready | Listing] = workload.events()
        self._counts: dict[str, int] = {}
        self._last_ms: dict[str, int] = {}
        self._failed, self._first_failure, self._since_poll = 0, "", 0
        self._one_item = ""

    def catalogue(self) -> Sent:
        """Send all items."""
        began_s, sent = self._clock(), Sent()
        for record in self._workload.catalogue():
            self._item(record, int(self._wall_ms()))
            sent.items += 1
        return self._finished(sent, began_s)

    def send(self, command: Send) -> Sent:
        """Send the next events of the workload."""
        began_s, sent = self._clock(), Sent()
        late: list[tuple[int, float]] = []
        if command.rate_per_s is None:
            self._at_once(command.count, sent)
        else:
            late = self._by_schedule(command.count, command.rate_per_s, sent)
        if late:
            events, lateness = np.array([n for n, _ in late]), np.array([ms for _, ms in late])
            spread = np.repeat(lateness, events)
            sent.late_p50_ms, sent.late_p99_ms = np.percentile(spread, [50, 99]).tolist()
            sent.late_max_ms = float(lateness.max())
        return self._finished(sent, began_s)

    def tally(self, path: Path) -> None:
        """Write what was sent for each user."""
        totals = {user: (n, self._last_ms[user]) for user, n in self._counts.items()}
        path.write_bytes(msgspec.msgpack.encode(totals))

    def _at_once(self, wanted: int, sent: Sent) -> None:
        for number in count():
            if number >= wanted or sent.exhausted:
                break
            if number % _POLL_EVERY == 0:
                while len(self._client) > _IN_FLIGHT_MAX:
                    self._client.poll(0.01)
            self._next(int(self._wall_ms()), sent)

    def _by_schedule(self, wanted: int, rate_per_s: float, sent: Sent) -> list[tuple[int, float]]:
        """Send by an open loop; gives (events, milliseconds late) of what went out together."""
        late: list[tuple[int, float]] = []
        loop = OpenLoop(rate_per_s, self._clock, self._sleep)
        # One reading of the wall clock: a correction of it during the run moves no event.
        offset_ms = self._wall_ms() - 1000 * self._clock()
        for first, end in loop.batches(wanted):
            late.append((end - first, 1000 * (self._clock() - loop.due_s(first))))
            for number in range(first, end):
                self._next(int(1000 * loop.due_s(number) + offset_ms), sent)
            if sent.exhausted:
                break
        return late

    def _next(self, time_ms: int, sent: Sent) -> None:
        """Send the next event, and the items before it."""
        for record in self._events:
            if isinstance(record, Listing):
                self._item(record, time_ms)
                sent.items += 1
                continue
            subject = record.subject
            self._produce(self._plan.events_topic, subject, record.body, time_ms)
            self._counts[subject] = self._counts.get(subject, 0) + 1
            self._last_ms[subject] = max(time_ms, self._last_ms.get(subject, 0))
            sent.events += 1
            return
        sent.exhausted = True

    def _item(self, record: Listing, time_ms: int) -> None:
        self._produce(self._plan.items_topic, record.item, record.body, time_ms)
        self._one_item = record.item

    def _produce(self, topic: str, key: str, body: bytes, time_ms: int) -> None:
        while True:
            try:
                self._client.produce(
                    topic, stamped(body, time_ms), key.encode(), on_delivery=self._on_delivery
                )
                break
            except BufferError:
                self._client.poll(0.01)
        self._since_poll += 1
        if self._since_poll == _POLL_EVERY:
            self._client.poll(0)
            self._since_poll = 0

    def _on_delivery(self, error: object, _: object) -> None:
        if error is not None:
            self._failed += 1
            self._first_failure = self._first_failure or str(error)

    def _finished(self, sent: Sent, began_s: float) -> Sent:
        left = self._client.flush(_FLUSH_S)
        if left:
            self._failed += left
            self._first_failure = self._first_failure or f"under way for {_FLUSH_S:.0f} s"
        sent.seconds = self._clock() - began_s
        sent.failed, sent.first_failure = self._failed, self._first_failure
        self._failed, self._first_failure = 0, ""
        sent.item = self._one_item
        usage = resource.getrusage(resource.RUSAGE_SELF)
        sent.cpu_s = usage.ru_utime + usage.ru_stime
        return sent


def workload_of(plan: Open) -> Workload:
    """The workload that was asked for."""
    if plan.shape is not None:
        return CohortsWorkload(plan.shape, plan.synthetic.seed, plan.tenant)
    if plan.source is not None:
        return SourceWorkload(Path(plan.source), plan.tenant)
    return SyntheticWorkload(plan.synthetic, plan.tenant, plan.rate_per_s)


def serve(commands: BinaryIO, answers: BinaryIO) -> None:
    """Follow commands, one JSON a line, until there are no more; answer each with a line."""
    decoder = msgspec.json.Decoder(Command)
    sender: Sender | None = None
    for line in commands:
        command = decoder.decode(line)
        answer: Sent | Problem = Sent()
        try:
            if isinstance(command, Open):
                workload = workload_of(command)
                client = Producer({"bootstrap.servers": command.bootstrap, **CLIENT})
                sender = Sender(command, workload, client)
            elif sender is None:
                answer = Problem(f"{type(command).__name__} before Open: send Open first")
            elif isinstance(command, Catalogue):
                answer = sender.catalogue()
            elif isinstance(command, Send):
                answer = sender.send(command)
            else:
                sender.tally(Path(command.path))
        except Exception as error:
            answer = Problem(f"{type(error).__name__}: {error}")
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
