"""The state of a stage in Flink: tables written now and then, a journal of the batches between.

Writing every changed value at every batch costs more than changing it. So a batch is first noted
in the journal, as the bytes it came in, and the values it changes stay decoded in memory; every
`journal_batches` batches of a bucket they are all stored and its journal is emptied. Flink's
checkpoints hold tables and journal. After a restore the journal's batches are applied once more,
their answers dropped: the transitions are pure, so this gives the state there was.

All of this goes under the key of a bucket, so it moves with it when the job is rescaled.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pyflink.common import Types
from pyflink.datastream.functions import RuntimeContext
from pyflink.datastream.state import MapState, MapStateDescriptor

from operators.stage import Codec

V = TypeVar("V")

_DELETED: Any = object()

STORED_BITS = 1 << 20
"""Per table and bucket: up to some hundred thousand keys that are no longer in memory, a new key
costs no call into the JVM."""


GOLDEN = 0.618
"""Multiples of the golden ratio, less what is whole, lie evenly however many there are of them."""


class _Values:
    """What is in memory of one bucket's table: decoded values in two generations, and the changes.

    A hit of the young generation costs one lookup; what nobody asked for while it filled up is
    forgotten with the old one, unless it has changed.

    Attributes:
        stored: What Flink's state may hold that is not in memory: a bit for each of `STORED_BITS`
            residues of a key's hash, or none where it holds nothing; None where it may be anything.
    """

    __slots__ = ("changed", "cleared", "old", "stored", "young")

    def __init__(self, *, known: bool, cleared: bool = False) -> None:
        self.young: dict[str, Any] = {}
        self.old: dict[str, Any] = {}
        self.changed: dict[str, Any] = {}
        self.stored = bytearray() if known else None
        self.cleared = cleared

    def may_be_stored(self, key: str) -> bool:
        """Whether it is worth to ask Flink's state for a key that is not in memory."""
        if not self.stored:
            return self.stored is None
        byte, bit = _place(key)
        return bool(self.stored[byte] >> bit & 1)

    def age(self, size: int) -> int:
        """Start a new generation if the young one is full; nothing may be changed.

        Returns:
            Number of values that were forgotten.
        """
        if len(self.young) <= size:
            return 0
        forgotten = self.old.keys() - self.young.keys()
        if forgotten and self.stored is not None:
            self.stored = self.stored or bytearray(STORED_BITS // 8)
            for key in forgotten:
                if self.old[key] is not _DELETED:
                    byte, bit = _place(key)
                    self.stored[byte] |= 1 << bit
        self.old, self.young = self.young, {}
        return len(forgotten)


def _place(key: str) -> tuple[int, int]:
    """Byte and bit of a key among `STORED_BITS`."""
    return divmod(hash(key) % STORED_BITS, 8)


class FlinkTable(Generic[V]):
    """A `operators.stage.Table` on Flink; `enter` says which bucket the next calls are about.

    Attributes:
        reads: Values asked for.
        misses: Values that had to be read from Flink's state.
        evictions: Decoded values that were forgotten to make room.
    """

    __slots__ = (
        "_bucket", "_buckets", "_cache_size", "_changed", "_codec", "_state", "_values", "_young",
        "evictions", "misses", "reads",
    )  # fmt: skip

    def __init__(self, state: MapState, codec: Codec[V], cache_size: int) -> None:
        self._state = state
        self._codec = codec
        self._cache_size = max(1, cache_size // codec.weight)
        self._buckets: dict[int, _Values] = {}
        self._bucket = -1
        self.reads = 0
        self.misses = 0
        self.evictions = 0

    def enter(self, bucket: int) -> None:
        """Flink's current key is this bucket from now on."""
        values = self._buckets.get(bucket)
        if values is None:
            values = self._buckets[bucket] = _Values(known=self._state.is_empty())
        self._bucket, self._values = bucket, values
        self._young, self._changed = values.young, values.changed

    def get(self, key: str) -> V | None:
        self.reads += 1
        value = self._young.get(key)
        if value is None:
            value = self._remember(key)
        return None if value is _DELETED else value

    def _remember(self, key: str) -> Any:
        values = self._values
        value = values.old.get(key)
        if value is None:
            data = None
            if values.may_be_stored(key):
                self.misses += 1
                data = self._state.get(key)
            value = _DELETED if data is None else self._codec.decode(data)
        values.young[key] = value
        return value

    def put(self, key: str, value: V) -> None:
        self._young[key] = self._changed[key] = value

    def delete(self, key: str) -> None:
        self._young[key] = self._changed[key] = _DELETED

    def clear(self) -> None:
        self._buckets[self._bucket] = _Values(known=True, cleared=True)
        self.enter(self._bucket)

    def all_keys(self) -> list[str]:
        values = self._values
        keys = set() if values.cleared else set(self._state.keys())
        for key, value in values.changed.items():
            (keys.discard if value is _DELETED else keys.add)(key)
        return sorted(keys)

    def store(self) -> None:
        """Write what has changed since the last call to Flink's state."""
        values, encode = self._values, self._codec.encode
        if values.cleared:
            self._state.clear()
            values.cleared = False
        stored = {key: encode(value) for key, value in values.changed.items()
                  if value is not _DELETED}  # fmt: skip
        if stored:
            self._state.put_all(stored)
        if len(stored) < len(values.changed):
            for key in values.changed.keys() - stored.keys():
                self._state.remove(key)
        values.changed = {}
        self.evictions += values.age(self._cache_size)
        self.enter(self._bucket)


@dataclass(slots=True)
class _Noted:
    """Of one bucket: number of the next batch, count and length of those noted, those held back."""

    next: int = 0
    batches: int = 0
    bytes: int = 0
    held: list[str] = field(default_factory=list)


class Journal:
    """The batches of each bucket since its tables were last stored, in order.

    Args:
        state: MapState of text by text.
        batches_max: Batches after which a bucket is stored.
        bytes_max: Length of noted batches after which it is stored earlier.
    """

    SETTLED = ""
    """Noted in place of a batch when the stage was asked for all that it holds back."""

    SETTLED_SOME = " "
    """The same where it was asked for some of it."""

    HELD = "|"
    """In front of a batch that is held back; alone, it says that those before it were applied then,
    as one. Neither a batch nor its pieces have it in them."""

    def __init__(self, state: MapState, batches_max: int, bytes_max: int) -> None:
        self._state = state
        self._batches_max = batches_max
        self._bytes_max = bytes_max
        self._noted: dict[int, _Noted] = {}

    def unread(self, bucket: int) -> list[str]:
        """The applied batches of a bucket that this worker has not seen yet: after a restore.

        Those that were held back still are.
        """
        if bucket in self._noted:
            return []
        entries = sorted(self._state.items())
        noted = self._noted[bucket] = _Noted()
        if entries:
            noted.next = int(entries[-1][0]) + 1
            noted.batches = len(entries)
            noted.bytes = sum(len(text) for _, text in entries)
        else:  # buckets that start together are not all stored in one moment
            noted.batches = int(bucket * GOLDEN % 1 * self._batches_max)
        applied: list[str] = []
        for _, text in entries:
            if text == self.HELD:
                applied.append(",".join(noted.held))
                noted.held = []
            elif text.startswith(self.HELD):
                noted.held.append(text.removeprefix(self.HELD))
            else:
                applied.append(text)
        return applied

    def note(self, bucket: int, batch: str) -> None:
        """Add a batch that is applied now."""
        noted = self._noted[bucket]
        self._state.put(f"{noted.next:09d}", batch)
        noted.next += 1
        noted.batches += 1
        noted.bytes += len(batch)

    def hold(self, bucket: int, batch: str) -> int:
        """Add a batch that waits; length of all that wait."""
        self.note(bucket, self.HELD + batch)
        held = self._noted[bucket].held
        held.append(batch)
        return sum(map(len, held))

    def held(self, bucket: int) -> list[str]:
        """The batches that wait."""
        return self._noted[bucket].held

    def release(self, bucket: int) -> None:
        """Those that wait are applied now, as one."""
        self.note(bucket, self.HELD)
        self._noted[bucket].held = []

    def full(self, bucket: int) -> bool:
        """Whether it is time to store the tables."""
        noted = self._noted[bucket]
        return noted.batches >= self._batches_max or noted.bytes >= self._bytes_max

    def empty(self, bucket: int) -> None:
        """Forget the batches: the tables hold what they did."""
        self._state.clear()
        self._noted[bucket] = _Noted()


class Due:
    """When each bucket is to be settled next, by event time; a restore finds it as it was.

    Args:
        state: MapState of text by text.
    """

    def __init__(self, state: MapState) -> None:
        self._state = state
        self._at_ms: dict[int, int | None] = {}

    def get(self, bucket: int) -> int | None:
        """The time, or None; Flink's current key is the bucket."""
        if bucket not in self._at_ms:
            text = self._state.get("")
            self._at_ms[bucket] = int(text) if text else None
        return self._at_ms[bucket]

    def put(self, bucket: int, at_ms: int | None) -> None:
        """Keep another time, or none."""
        self._at_ms[bucket] = at_ms
        if at_ms is None:
            self._state.remove("")
        else:
            self._state.put("", str(at_ms))


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


def open_journal(
    context: RuntimeContext, name: str, batches_max: int, bytes_max: int = 16_000_000
) -> Journal:
    """A journal on a MapState of text, which crosses into the JVM in one piece."""
    descriptor = MapStateDescriptor(name, Types.STRING(), Types.STRING())
    return Journal(context.get_map_state(descriptor), batches_max, bytes_max)


def open_due(context: RuntimeContext, name: str) -> Due:
    """The times to settle, on a MapState of text."""
    return Due(context.get_map_state(MapStateDescriptor(name, Types.STRING(), Types.STRING())))
