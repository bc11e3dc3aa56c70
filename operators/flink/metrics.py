"""What the stages and sinks report to Flink, and so to Prometheus.

Counters only: Flink's Python distributions reach Prometheus as a constant 0.0, so a histogram is
built here from one counter a bucket.
"""

from typing import Any

LATENCY_BOUNDS_MS = (50, 100, 200, 300, 500, 750, 1000, 2000, 5000, 10_000, 60_000)


class StageMetrics:
    """Counters of one stage: `batches`, `messages`, `busy_us`, and what the stage counts itself."""

    def __init__(self, context: Any, stage: str) -> None:
        self._group = context.get_metrics_group().add_group("stage", stage)
        self._batches = self._group.counter("batches")
        self._messages = self._group.counter("messages")
        self._busy_us = self._group.counter("busy_us")
        self._counts: dict[str, Any] = {}

    def batch(self, messages: int, busy_ns: int) -> None:
        """One batch was worked through."""
        self._batches.inc()
        self._messages.inc(messages)
        self._busy_us.inc(busy_ns // 1000)

    def count(self, name: str, increase: int) -> None:
        """Something the stage counts, by name."""
        counter = self._counts.get(name)
        if counter is None:
            counter = self._counts[name] = self._group.counter(name)
        counter.inc(increase)


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
