"""What a user is being shown: the stored list as a reader would merge it at this moment.

A list is judged by what its user does next. Judged is what `operators.reading.read` would have
served just before: the stored row with fresh item parts, among the items of the shared row `all`
that its filter does not know. Here the same is done with packed arrays, once a user and batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from operators.candidates import is_in
from operators.kernels import NOWHERE, kernel, place_of
from operators.messages import SOURCES
from operators.packing import Keys, Words
from operators.seen import PROBES
from operators.sorting import ascending
from operators.stage import StructCodec

SHOWN = 10
TRENDING = SOURCES.index("trending")

Floats = NDArray[np.float64]


def _no_keys() -> Keys:
    return np.empty(0, np.uint64)


def _no_words() -> Words:
    return np.empty(0, np.float32)


@dataclass
class SharedRow:
    """The row `all` of the table `trending`, best first; scores as they are stored, in 32 bits.

    Attributes:
        model: That made it; empty where nothing is stored yet.
    """

    ids: Sequence[str] = ()
    keys: Keys = field(default_factory=_no_keys)
    scores: Words = field(default_factory=_no_words)
    item_scores: Words = field(default_factory=_no_words)
    as_of_ms: int = 0
    model: str = ""


@dataclass
class StoredRow(SharedRow):
    """A user's row of the table `recommendations`.

    Attributes:
        sources: Index into `messages.SOURCES`, a byte an item.
        fallback: Whether the row is not the user's own list.
    """

    sources: bytes = b""
    fallback: bool = True


class PackedRow(Struct, array_like=True):
    """Either row as plain data."""

    ids: list[str]
    keys: bytes
    scores: bytes
    item_scores: bytes
    as_of_ms: int
    model: str
    sources: bytes = b""
    fallback: bool = True


def pack_row(row: SharedRow) -> PackedRow:
    """The row as plain data."""
    packed = PackedRow(
        list(row.ids), row.keys.tobytes(), row.scores.tobytes(), row.item_scores.tobytes(),
        row.as_of_ms, row.model,
    )  # fmt: skip
    if isinstance(row, StoredRow):
        packed.sources, packed.fallback = row.sources, row.fallback
    return packed


def unpack_row(packed: PackedRow) -> StoredRow:
    """The row of plain data."""
    return StoredRow(
        packed.ids, np.frombuffer(packed.keys, "<u8"), np.frombuffer(packed.scores, "<f4"),
        np.frombuffer(packed.item_scores, "<f4"), packed.as_of_ms, packed.model, packed.sources,
        packed.fallback,
    )  # fmt: skip


class RowCodec:
    """`SharedRow` as MessagePack."""

    version = 1
    weight = 20
    _inner: StructCodec[PackedRow] = StructCodec(PackedRow)

    def encode(self, value: SharedRow) -> bytes:
        return self._inner.encode(pack_row(value))

    def decode(self, data: bytes) -> SharedRow:
        return unpack_row(self._inner.decode(data))


@dataclass
class Served:
    """All that could be shown to one user, best first.

    Attributes:
        places: Into the items of `own`, then those of `shared`.
        keys: Of these.
    """

    own: StoredRow
    shared: SharedRow
    places: NDArray[np.int64]
    keys: Keys

    def __post_init__(self) -> None:
        own, shared, count = self.own.ids, self.shared.ids, len(self.own.ids)
        self.shown = [own[place] if place < count else shared[place - count]
                      for place in self.places[:SHOWN].tolist()]  # fmt: skip

    @property
    def shown_keys(self) -> Keys:
        """Keys of the first ten."""
        return self.keys[:SHOWN]

    def find(self, item_key: int) -> tuple[int | None, str | None]:
        """Rank of an item, from 1, and its source; None for both where it would not be shown."""
        rank = place_of(self.keys, len(self.keys), np.uint64(item_key))
        if rank == NOWHERE:
            return None, None
        place = int(self.places[rank])
        known = place < len(self.own.ids)
        return rank + 1, SOURCES[self.own.sources[place] if known else TRENDING]


def serve(own: StoredRow, shared: SharedRow, known: bytes, unavailable: Keys) -> Served:
    """Merge a user's row with the shared row as a reader does.

    Args:
        own: Of the user, empty where there is none.
        shared: Of everybody.
        known: Filter of the items the user knows, as it stands in the row; empty knows nothing.
        unavailable: Sorted keys of items that are shown to nobody.
    """
    places, keys = merge(
        own.keys, own.scores, own.item_scores, shared.keys, shared.scores, shared.item_scores,
        np.frombuffer(known, np.uint8), unavailable,
    )  # fmt: skip
    return Served(own, shared, places, keys)


@kernel
def _bit(key: Any, probe: int, size: int) -> Any:
    """Place of one bit of a key in a filter of so many bytes, as `operators.seen` has it."""
    first, step = key & np.uint64(0xFFFFFFFF), (key >> np.uint64(32)) | np.uint64(1)
    return (first + np.uint64(probe) * step) % np.uint64(8 * size)


@kernel
def _knows(known: Any, key: Any) -> bool:
    """Whether the filter of `operators.seen` holds a key."""
    for probe in range(PROBES):
        place = _bit(key, probe, len(known))
        if not (known[place >> np.uint64(3)] >> np.uint8(place & np.uint64(7))) & 1:
            return False
    return len(known) > 0


@kernel
def note_known(known: Any, key: Any) -> None:
    """Put a key into the filter, as `operators.seen.add` does."""
    for probe in range(PROBES):
        place = _bit(key, probe, len(known))
        known[place >> np.uint64(3)] |= np.uint8(1 << (place & np.uint64(7)))


@kernel
def meet(seen: Any, key: Any, known: Any) -> Any:
    """Sorted keys with one more, which goes into their filter too; the same array if it is there.

    See `note_known`.
    """
    if is_in(seen, key):
        return seen
    note_known(known, key)
    place = np.searchsorted(seen, key)
    grown = np.empty(len(seen) + 1, np.uint64)
    grown[:place], grown[place], grown[place + 1 :] = seen[:place], key, seen[place:]
    return grown


@kernel
def merge(
    keys: Any, scores: Any, parts: Any, shared_keys: Any, shared_scores: Any, shared_parts: Any,
    known: Any, unavailable: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Places of what would be served, best first, `n + place` for the shared ones; their keys."""
    own = len(keys)
    places = np.empty(own + len(shared_keys), np.int64)
    values = np.empty(len(places))
    count = 0
    for place in range(own):
        # Not `float`: compiled, that leaves 32 bits at 32 bits, and a reader counts in 64.
        value, part = np.float64(scores[place]), np.float64(parts[place])
        fresh = place_of(shared_keys, len(shared_keys), keys[place])
        if fresh != NOWHERE and np.float64(shared_parts[fresh]) != part:
            value = value - part + np.float64(shared_parts[fresh])
        if not is_in(unavailable, keys[place]):
            places[count], values[count] = place, -value
            count += 1
    for place in range(len(shared_keys)):
        key = shared_keys[place]
        if place_of(keys, own, key) != NOWHERE or is_in(unavailable, key):
            continue
        if len(known) == 0 or not _knows(known, key):
            places[count], values[count] = own + place, -np.float64(shared_scores[place])
            count += 1
    served = places[ascending(values[:count])]
    served_keys = np.empty(count, np.uint64)
    for rank in range(count):
        place = served[rank]
        served_keys[rank] = keys[place] if place < own else shared_keys[place - own]
    return served, served_keys
