"""The process beside a sink's worker that writes to Cassandra; run by `sink`, see `aside`."""

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from operators.flink.aside import Answer, serve
from operators.flink.cassandra import (
    CassandraExecutor,
    SinkSettings,
    Writer,
    connect,
    patiently,
)
from operators.flink.clock import wall_clock_ms
from operators.flink.collecting import collect_seldom
from operators.flink.cores import stay_off
from operators.flink.metrics import Coverage, CpuCounter, LatencyCounters
from operators.flink.payload import unpack
from operators.results import ListRow
from operators.rows import Row

SHOWN = 10
"""Places of a list that count as shown, for coverage."""


class Counts:
    """Counters and gauges with the face of a group of Flink's metrics, to be told of elsewhere."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._gauges: dict[str, Callable[[], int]] = {}
        self._told: dict[str, int] = {}

    def counter(self, name: str) -> "Count":
        """A counter of this name."""
        self._counts[name] = self._told[name] = 0
        return Count(self._counts, name)

    def gauge(self, name: str, value: Callable[[], int]) -> None:
        """A value that is looked up when it is told."""
        self._gauges[name], self._told[name] = value, 0

    def take(self) -> dict[str, int]:
        """By how much each has grown since the last time; a gauge may have shrunk."""
        now = self._counts | {name: value() for name, value in self._gauges.items()}
        grown = {name: value - self._told[name] for name, value in now.items()}
        self._told = now
        return grown


class Count:
    """One of them."""

    def __init__(self, counts: dict[str, int], name: str) -> None:
        self._counts, self._name = counts, name

    def inc(self, n: int = 1) -> None:
        """Count so many more."""
        self._counts[self._name] += n


class RowsWriter:
    """Writes payloads of rows and counts what is written.

    Args:
        settings: Of the sink.
        execute: See `Writer`.
        group: Of metrics, Flink's or `Counts`.
        pause: See `Writer`.
    """

    def __init__(
        self, settings: SinkSettings, execute: Any, group: Any, pause: Any = time.sleep
    ) -> None:
        self._rows = group.counter("rows")
        self._lists = group.counter("lists")
        self._retries = group.counter("retries")
        self._fallbacks = group.counter("fallbacks")
        self._freshness = LatencyCounters(group, "freshness_ms")
        self._cpu = CpuCounter(group)
        self._coverage = Coverage()
        group.gauge("listed_items", self._coverage.items)
        self._decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[Row])
        self._writer = Writer(settings, execute, pause)

    def write(self, payload: str) -> None:
        """Return once all of it is written.

        Raises:
            WriteFailedError: Some of it failed in all attempts.
        """
        rows = unpack(self._decoder, payload)
        before = self._writer.retries
        self._rows.inc(self._writer.write(rows))
        self._retries.inc(self._writer.retries - before)
        now_ms = wall_clock_ms()
        lists = [row for row in rows if isinstance(row, ListRow)]
        self._lists.inc(len(lists))
        self._fallbacks.inc(sum(bool(row.fallback) for row in lists))
        for row in lists:
            self._freshness.observe(now_ms - row.written_us // 1000)
            self._coverage.see(row.ids[:SHOWN], now_ms // 1000)
        self._cpu.charge()


def begin(settings: bytes) -> tuple[bytes, Answer]:
    """Connect; what is counted, all at nothing, and what writes a payload."""
    stay_off()
    collect_seldom()
    sink = msgspec.msgpack.decode(settings, type=SinkSettings)
    executor = patiently(lambda: CassandraExecutor(connect(sink), sink))
    counts, encoder = Counts(), msgspec.msgpack.Encoder()
    writer = RowsWriter(sink, executor, counts)

    def write(payload: bytes) -> bytes:
        writer.write(payload.decode())
        return encoder.encode(counts.take())

    return encoder.encode(counts.take()), write


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    serve(begin)
