"""Flink's side of the keyed shell, of dicts: what a worker sees, and what survives it."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from operators.messages import Noted, order


class FakeMapState:
    """MapState of the current key of a context."""

    def __init__(self, context: "FakeContext", name: str) -> None:
        self._context = context
        self._name = name

    @property
    def _map(self) -> dict[str, Any]:
        return self._context.stored[self._context.key, self._name]

    def get(self, key):
        return self._map.get(key)

    def put(self, key, value):
        self._map[key] = value

    def put_all(self, values):
        self._map.update(values)

    def remove(self, key):
        self._map.pop(key, None)

    def contains(self, key):
        return key in self._map

    def is_empty(self):
        return not self._map

    def keys(self):
        return iter(list(self._map))

    def items(self):
        return iter(list(self._map.items()))

    def clear(self):
        self._map.clear()


class FakeContext:
    """A runtime context and the context of an element in one; `stored` outlives the worker."""

    def __init__(self, stored: dict | None = None) -> None:
        self.stored = defaultdict(dict, stored or {})
        self.key = None
        self.timers: set[tuple[int, Any]] = set()
        self.counts: dict[str, int] = defaultdict(int)
        self.gauges: dict[str, Any] = {}
        self.time_ms = 0
        self.processing_ms = 0

    def get_map_state(self, descriptor):
        return FakeMapState(self, descriptor.name)

    def get_metrics_group(self):
        return self

    get_metric_group = get_metrics_group

    def add_group(self, name, value):
        """The group of a stage is the context itself; another's counters bear its value."""
        if name == "stage":
            return self
        return SimpleNamespace(counter=lambda own: self.counter(f"{own} {value}"))

    def counter(self, name):
        def inc(n=1):
            self.counts[name] += n

        return SimpleNamespace(inc=inc)

    def gauge(self, name, value):
        self.gauges[name] = value

    def timestamp(self):
        return self.time_ms

    def timer_service(self):
        return self

    def current_processing_time(self):
        return self.processing_ms

    def register_processing_time_timer(self, at):
        self.timers.add((at, self.key))

    register_event_time_timer = register_processing_time_timer

    def due(self, to_ms):
        """Times of the timers up to this one, in order; they do not fire again."""
        fired = {(at, key) for at, key in self.timers if at <= to_ms}
        self.timers -= fired
        return sorted(at for at, _ in fired)

    def get_current_key(self):
        return self.key


class NotedStage:
    """What a stage of tests has that is told of items, each with one message."""

    inputs = Noted
    state_type = SimpleNamespace
    order = staticmethod(order)
