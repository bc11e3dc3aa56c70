"""What the stages and sinks report to Flink, and so to Prometheus.

Counters only: Flink's Python distributions reach Prometheus as a constant 0.0, so a histogram is
built here from one counter a bucket.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol
from zlib import crc32

import numpy as np

TOLD_EVERY_MS = 500
"""Counts of a stage go to Flink no oftener: from an embedded Python, each call into the JVM takes
some ten microseconds, and a batch counts nine things."""

LATENCY_BOUNDS_MS = (50, 100, 200, 300, 500, 750, 1000, 2000, 5000, 10_000, 60_000)


CACHES = ("reads", "misses", "evictions")


class Cached(Protocol):
    """What a table with a cache counts; see `operators.flink.state.FlinkTable`."""

    reads: int
    misses: int
    evictions: int


class StageMetrics:
    """Counters of one stage: its batches, its caches, and what the stage counts itself.

    Args:
        context: Of the worker.
        stage: Its name.
        tables: Whose caches are counted.
        clock_ns: Of any beginning.

    Attributes:
        waiting: Whether something was counted that Flink was not told of.
    """

    def __init__(
        self,
        context: Any,
        stage: str,
        tables: Collection[Cached] = (),
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._group = context.get_metrics_group().add_group("stage", stage)
        self._tables, self._clock_ns = tables, clock_ns
        self._counters: dict[str, Any] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._told: dict[str, int] = defaultdict(int)
        self._busy_ns = self._told_ns = 0
        self.waiting = False
        for name in ("batches", "messages", "held", "busy_us", *CACHES):
            self._counter(name)

    def batch(self, messages: int, busy_ns: int) -> None:
        """One batch was worked through; tells Flink if it was not told of late."""
        self._counts["batches"] += 1
        self._counts["messages"] += messages
        self._busy_ns += busy_ns
        self.waiting = True
        if self._clock_ns() - self._told_ns >= 1_000_000 * TOLD_EVERY_MS:
            self.tell()

    def count(self, name: str, increase: int) -> None:
        """Something the stage counts, by name; see `stage.labelled`. Told with the next batch."""
        self._counts[name] += increase

    def tell(self) -> None:
        """Tell Flink what was counted."""
        self._counts["busy_us"] = self._busy_ns // 1000
        for name in CACHES:
            self._counts[name] = sum(getattr(table, name) for table in self._tables)
        for name, total in self._counts.items():
            if total != self._told[name]:
                self._counter(name).inc(total - self._told[name])
                self._told[name] = total
        self._told_ns, self.waiting = self._clock_ns(), False

    def _counter(self, name: str) -> Any:
        counter = self._counters.get(name)
        if counter is None:
            label, _, plain = name.rpartition("/")
            group = self._group.add_group(*label.split("=", 1)) if label else self._group
            counter = self._counters[name] = group.counter(plain)
        return counter


class LatencyCounters:
    """A cumulative histogram from counters: `<name>_le_<bound>`, `_count`, `_sum_ms`."""

    def __init__(self, group: Any, name: str) -> None:
        self._bounds = [(bound, group.counter(f"{name}_le_{bound}")) for bound in LATENCY_BOUNDS_MS]
        self._count = group.counter(f"{name}_count")
        self._sum_ms = group.counter(f"{name}_sum_ms")

    def observe(self, value_ms: int) -> None:
        """One latency in milliseconds."""
        self._count.inc()
        self._sum_ms.inc(max(0, value_ms))
        for bound, counter in reversed(self._bounds):
            if value_ms > bound:
                break
            counter.inc()


class CpuCounter:
    """CPU time of a Python process beside the JVM, `cpu_us`, charged to whoever asks first.

    The JVM's own CPU metric does not see it. Pandas functions share such a process: the sum over
    all of them is the process's.
    """

    _lock = threading.Lock()
    _charged_ns = 0

    def __init__(self, group: Any) -> None:
        self._cpu_us = group.counter("cpu_us")

    def charge(self) -> None:
        """Count what the process has used since anybody's last call."""
        with CpuCounter._lock:
            used_ns = time.process_time_ns() - CpuCounter._charged_ns
            used_us = used_ns // 1000
            CpuCounter._charged_ns += 1000 * used_us
        self._cpu_us.inc(used_us)


class Coverage:
    """How many different items were listed of late, in 256 kB.

    A bit a hash, and linear counting: with m bits of which z are zero, about m ln(m / z) different
    items were seen (Whang et al., 1990; within 1 % up to a million items).

    Args:
        window_s: Length of a window of time.
    """

    BITS = 1 << 18

    def __init__(self, window_s: int = 600) -> None:
        self._window_s = window_s
        self._window = 0
        self._bits = np.zeros(self.BITS, np.bool_)
        self._before = 0

    def see(self, items: Iterable[str], now_s: int) -> None:
        """Items of lists that are written now."""
        window = now_s // self._window_s
        if window != self._window:
            self._before = self._counted() if window == self._window + 1 else 0
            self._window = window
            self._bits[:] = False
        self._bits[[_bit(item) for item in items]] = True

    def items(self) -> int:
        """Different items of the present window or of the one before, whichever are more."""
        return max(self._before, self._counted())

    def _counted(self) -> int:
        zeros = self.BITS - int(np.count_nonzero(self._bits))
        return round(self.BITS * math.log(self.BITS / max(1, zeros)))


def _bit(item: str) -> int:
    """One of 2^18; a CRC alone is not even enough over ids that count upwards."""
    return (crc32(item.encode()) * 0x9E3779B1 & 0xFFFFFFFF) >> 14
