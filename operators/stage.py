"""The contract every keyed stage keeps, and the state it keeps it in.

A stage is a pure transition: it sees a batch of messages in a fixed order and the tables of its
state, and answers with messages for the stages behind it. It knows no clock, no randomness, no
runtime; the same tables and the same batch give the same tables and the same answer. Who batches,
stores and sends is somebody else's business: `operators.flink.keyed` in a job, a dict in a test.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct

from operators.compression import compress, decompress

V = TypeVar("V")
M_contra = TypeVar("M_contra", contravariant=True)


class Codec(Protocol[V]):
    """Turns one kind of value into plain bytes and back.

    `version` goes into the name of the Flink state: raise it when the bytes change meaning.
    """

    @property
    def version(self) -> int:
        """Format of the bytes."""

    @property
    def weight(self) -> int:
        """How many small values a decoded one weighs in memory, for the size of caches."""

    def encode(self, value: V) -> bytes:
        """Plain bytes of the value."""

    def decode(self, data: bytes) -> V:
        """The value of such bytes."""


class Table(Protocol[V]):
    """Values by string key: the only way a stage remembers."""

    def get(self, key: str) -> V | None:
        """The value, or None; a value changed in place is kept only by a `put`."""

    def put(self, key: str, value: V) -> None:
        """Keep this value."""

    def delete(self, key: str) -> None:
        """Forget this key; unknown keys are fine."""

    def clear(self) -> None:
        """Forget every key of this bucket."""

    def all_keys(self) -> list[str]:
        """Every key of this bucket, sorted; for small tables only."""


BROADCAST = "*"
"""Key of a message that goes to every bucket of a stage."""

COUNT = "count"
"""Channel of counters: the key is the counter's name (see `labelled`), the message its increase."""


def labelled(label: str, value: str, name: str) -> str:
    """Name of a counter that there is one of for each value of a label."""
    return f"{label}={value}/{name}"


class Out(Struct, frozen=True, gc=False):
    """One answer: a message for the stage or channel `to`, filed under `key`."""

    to: str
    key: str
    message: Any


class Stage(Protocol[M_contra]):
    """A keyed stage.

    Attributes:
        name: Also the name of the channel that feeds it, and the head of its state names.
        codecs: One codec a table.
    """

    name: str
    codecs: Mapping[str, Codec[Any]]

    @property
    def inputs(self) -> Any:
        """Union of the message types it reads."""

    @property
    def state_type(self) -> Callable[..., Any]:
        """Dataclass of the tables, with a field for each codec."""

    def order(self, message: Any) -> tuple[int, int, str]:
        """Sort key of a batch: its turn, its time in milliseconds, and an id."""

    def apply(self, state: Any, batch: Sequence[M_contra]) -> list[Out]:
        """Move the state over the batch, which is sorted by `order`, and answer."""

    def settle(self, state: Any, limit: int | None = None) -> list[Out]:
        """Answer with what was held back, called now and then: rows that may be a little old.

        Args:
            state: Of the stage.
            limit: Keys at the most, in turn, the others wait for the next call; None for all.
        """


class StructCodec(Generic[V]):
    """MessagePack of a `msgspec.Struct` type or any type msgspec knows; in short if it is long."""

    def __init__(self, kind: Any, version: int = 1, weight: int = 1) -> None:
        self.version = version
        self.weight = weight
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[V] = msgspec.msgpack.Decoder(kind)

    def encode(self, value: V) -> bytes:
        return compress(self._encoder.encode(value))

    def decode(self, data: bytes) -> V:
        return self._decoder.decode(decompress(data))


class BytesCodec:
    """Values that are packed bytes already."""

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.weight = 1

    def encode(self, value: bytes) -> bytes:
        return value

    def decode(self, data: bytes) -> bytes:
        return data


class DictTable(Generic[V]):
    """The table of tests and tools: every value goes through its codec, as in a job."""

    def __init__(self, codec: Codec[V]) -> None:
        self._codec = codec
        self.data: dict[str, bytes] = {}

    def get(self, key: str) -> V | None:
        data = self.data.get(key)
        return None if data is None else self._codec.decode(data)

    def put(self, key: str, value: V) -> None:
        self.data[key] = self._codec.encode(value)

    def delete(self, key: str) -> None:
        self.data.pop(key, None)

    def clear(self) -> None:
        self.data.clear()

    def all_keys(self) -> list[str]:
        return sorted(self.data)

    def items(self) -> Iterator[tuple[str, V]]:
        """All keys with their values, in key order."""
        for key in sorted(self.data):
            yield key, self._codec.decode(self.data[key])


def settle_nothing(state: Any, limit: int | None = None) -> list[Out]:
    """`Stage.settle` of a stage that holds nothing back."""
    return []


def in_turn(waiting: Table[Any], turn: Table[str], limit: int | None) -> list[str]:
    """Keys of a table to be settled now: all of them, or `limit` of them, going round.

    Args:
        waiting: Its keys wait.
        turn: Of the same stage; remembers which key was the last.
        limit: Keys at the most; None for all.
    """
    keys = waiting.all_keys()
    if limit is None or len(keys) <= limit:
        return keys
    after = bisect_right(keys, turn.get("") or "")
    chosen = [*keys[after:], *keys[:after]][:limit]
    turn.put("", chosen[-1])
    return chosen


def append(table: Table[list[V]], key: str, value: V) -> None:
    """Put a value behind those of a chunk."""
    values = table.get(key) or []
    values.append(value)
    table.put(key, values)


def pair_key(owner: str, name: str) -> str:
    """Key of a name under an owner; the length in front makes it unambiguous."""
    return f"{len(owner)}:{owner}{name}"


def scoped(tenant: str, name: str) -> str:
    """Key of an id inside its tenant; tenants hold no control characters, so it is unambiguous."""
    return f"{tenant}\x1f{name}"


def bucket_of(key: str, buckets: int) -> int:
    """Which of the fixed number of buckets a key lives in: CRC-32 of its UTF-8 bytes, modulo."""
    return crc32(key.encode()) % buckets


def tick(clock_us: int, time_ms: int) -> int:
    """Write time of a row in Cassandra, microseconds: event time, but always later than the last.

    The newest write wins there by this time alone. A late event makes a new list of an old time,
    and two lists can fall into one millisecond; neither may lose.
    """
    return max(1000 * time_ms, clock_us + 1)
