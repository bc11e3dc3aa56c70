"""The tables of a stage in Flink state: one MapState each, under the key of a bucket.

Reads go through a cache of decoded values; writes are gathered and stored by one `put_all` at the
end of a batch, so between two batches the state holds everything and a checkpoint is complete.
"""

from typing import Any, Generic, TypeVar

from pyflink.common import Types
from pyflink.datastream.functions import RuntimeContext
from pyflink.datastream.state import MapState, MapStateDescriptor

from operators.stage import Codec

V = TypeVar("V")

_DELETED: Any = object()


class _Cache:
    """Decoded values of one bucket in two generations: a hit of the young one costs a lookup.

    What nobody asked for while the young generation filled up is forgotten with the old one.
    """

    __slots__ = ("old", "young")

    def __init__(self) -> None:
        self.young: dict[str, Any] = {}
        self.old: dict[str, Any] = {}

    def age(self, size: int) -> None:
        """Start a new generation if the young one is full."""
        if len(self.young) > size:
            self.old, self.young = self.young, {}


class FlinkTable(Generic[V]):
    """A `operators.stage.Table` on Flink; `enter` says which bucket the next calls are about.

    Attributes:
        reads: Values asked for.
        misses: Values that had to be read from Flink's state.
    """

    def __init__(self, state: MapState, codec: Codec[V], cache_size: int) -> None:
        self._state = state
        self._codec = codec
        self._cache_size = cache_size
        self._caches: dict[int, _Cache] = {}
        self._cache = _Cache()
        self._changed: dict[str, V] = {}
        self.reads = 0
        self.misses = 0

    def enter(self, bucket: int) -> None:
        """Flink's current key is this bucket from now on."""
        cache = self._caches.get(bucket)
        if cache is None:
            cache = self._caches[bucket] = _Cache()
        self._cache = cache

    def get(self, key: str) -> V | None:
        self.reads += 1
        value = self._cache.young.get(key)
        if value is None:
            value = self._remember(key)
        return None if value is _DELETED else value

    def _remember(self, key: str) -> Any:
        value = self._cache.old.get(key)
        if value is None:
            self.misses += 1
            data = self._state.get(key)
            value = _DELETED if data is None else self._codec.decode(data)
        self._cache.young[key] = value
        return value

    def put(self, key: str, value: V) -> None:
        self._cache.young[key] = self._changed[key] = value

    def delete(self, key: str) -> None:
        self._cache.young[key] = self._changed[key] = _DELETED

    def clear(self) -> None:
        self._cache.young.clear()
        self._cache.old.clear()
        self._changed.clear()
        self._state.clear()

    def all_keys(self) -> list[str]:
        self.flush()
        return sorted(self._state.keys())

    def flush(self) -> None:
        """Store what the batch has changed."""
        self._cache.age(self._cache_size)
        if not self._changed:
            return
        encode = self._codec.encode
        stored = {key: encode(value) for key, value in self._changed.items()
                  if value is not _DELETED}  # fmt: skip
        if stored:
            self._state.put_all(stored)
        if len(stored) < len(self._changed):
            for key, value in self._changed.items():
                if value is _DELETED:
                    self._state.remove(key)
        self._changed = {}


def state_name(stage: str, table: str, codec: Codec[Any], meaning: str) -> str:
    """Name of a Flink state: a format or a meaning that differs is another state."""
    return f"{stage}-{table}-v{codec.version}" + (f"-{meaning}" if meaning else "")


def open_table(
    context: RuntimeContext, name: str, codec: Codec[V], cache_size: int
) -> FlinkTable[V]:
    """A table on a MapState of string keys.

    Values are typed PICKLED_BYTE_ARRAY although they are plain bytes of our own codecs: pickling
    bytes costs a hundred nanoseconds, while PRIMITIVE_ARRAY(BYTE) is converted byte by byte in
    thread mode (1.2 ms for 5 kB) and fails on a missing key.
    """
    descriptor = MapStateDescriptor(name, Types.STRING(), Types.PICKLED_BYTE_ARRAY())
    return FlinkTable(context.get_map_state(descriptor), codec, cache_size)
