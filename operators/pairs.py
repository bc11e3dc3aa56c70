"""What the neighbours keep of one item: the truth of its pairs in segments, and the best rows.

Segments grow by linear hashing (Litwin, VLDB 1980): one is split whenever there are more than
`PAIRS_A_SEGMENT` pairs a segment on average, so none has to be rewritten whole and a pair is
found in one of them by the low bits of its key.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from operators import kernels
from operators.packing import FIGURES, Keys, Words, item_key
from operators.stage import StructCodec, Table, pair_key

Sums = NDArray[np.int32]

FIGURES_WORDS = FIGURES.itemsize // 4
ROOM_MIN = 8
PAIRS_A_SEGMENT = 256


@dataclass
class ItemNeighbours:
    """One item: its sum of strengths, and its cached neighbours in order of arrival.

    Attributes:
        clock_us: Write time of the last row of similar items.
        pairs: Number of its pairs, in `segments` segments.
        ids: Item ids of the cached rows; the arrays may have room for more.
        keys: `packing.item_key` of each row.
        sums: Forward, backward, and short sum (times 100) of each row, shape (room, 3).
        ratios: Sum of strengths of each row's item over that of this one.
        figures: `packing.FIGURES` of each row, as words, shape (room, 11).
    """

    sum: int = 0
    clock_us: int = 0
    title: str = ""
    pairs: int = 0
    segments: int = 1
    ids: list[str] = field(default_factory=list)
    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    sums: Sums = field(default_factory=lambda: np.empty((0, 3), np.int32))
    ratios: Words = field(default_factory=lambda: np.empty(0, np.float32))
    figures: NDArray[np.uint32] = field(
        default_factory=lambda: np.empty((0, FIGURES_WORDS), np.uint32)
    )


@dataclass
class Segment:
    """Some pairs of one item: ids and keys of the others, and their sums, shape (room, 3)."""

    ids: list[str] = field(default_factory=list)
    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    sums: Sums = field(default_factory=lambda: np.empty((0, 3), np.int32))


class _StoredItem(Struct, array_like=True):
    sum: int
    clock_us: int
    title: str
    pairs: int
    segments: int
    ids: list[str]
    keys: bytes
    sums: bytes
    ratios: bytes
    figures: bytes


class NeighboursCodec:
    """`ItemNeighbours` as MessagePack."""

    version = 2
    weight = 50
    _inner: StructCodec[_StoredItem] = StructCodec(_StoredItem)

    def encode(self, value: ItemNeighbours) -> bytes:
        rows = len(value.ids)
        return self._inner.encode(
            _StoredItem(
                value.sum, value.clock_us, value.title, value.pairs, value.segments, value.ids,
                value.keys[:rows].tobytes(), value.sums[:rows].tobytes(),
                value.ratios[:rows].tobytes(), value.figures[:rows].tobytes(),
            )
        )  # fmt: skip

    def decode(self, data: bytes) -> ItemNeighbours:
        stored = self._inner.decode(data)
        return ItemNeighbours(
            stored.sum, stored.clock_us, stored.title, stored.pairs, stored.segments, stored.ids,
            np.frombuffer(stored.keys, "<u8").copy(),
            np.frombuffer(stored.sums, "<i4").reshape(-1, 3).copy(),
            np.frombuffer(stored.ratios, "<f4").copy(),
            np.frombuffer(stored.figures, "<u4").reshape(-1, FIGURES_WORDS).copy(),
        )  # fmt: skip


class SegmentCodec:
    """`Segment` as MessagePack; the arrays without their spare room."""

    version = 2
    weight = 50
    _inner: StructCodec[tuple[list[str], bytes, bytes]] = StructCodec(
        tuple[list[str], bytes, bytes]
    )

    def encode(self, value: Segment) -> bytes:
        count = len(value.ids)
        packed = value.keys[:count].tobytes(), value.sums[:count].tobytes()
        return self._inner.encode((value.ids, *packed))

    def decode(self, data: bytes) -> Segment:
        ids, keys, sums = self._inner.decode(data)
        return Segment(
            ids,
            np.frombuffer(keys, "<u8").copy(),
            np.frombuffer(sums, "<i4").reshape(-1, 3).copy(),
        )


def segment_of(key: int, segments: int) -> int:
    """Number of the segment that a key lies in, of so many.

    >>> [segment_of(key, 3) for key in range(8)]
    [0, 1, 2, 1, 0, 1, 2, 1]
    """
    level = 1 << (segments.bit_length() - 1)
    number = key & (2 * level - 1)
    return number if number < segments else key & (level - 1)


def split(table: Table[Segment], key: str, head: ItemNeighbours) -> None:
    """Make one segment more, from pairs of the one whose turn it is."""
    added = head.segments
    level = 1 << (added.bit_length() - 1)
    places = pair_key(key, str(added - level)), pair_key(key, str(added))
    whole = table.get(places[0]) or Segment()
    count = len(whole.ids)
    moves = (whole.keys[:count] & np.uint64(2 * level - 1)) == np.uint64(added)
    head.segments += 1
    for place, chosen in zip(places, (np.flatnonzero(~moves), np.flatnonzero(moves)), strict=True):
        if len(chosen):
            ids = [whole.ids[number] for number in chosen.tolist()]
            table.put(place, Segment(ids, whole.keys[chosen], whole.sums[chosen]))
        else:
            table.delete(place)


def grow_segment(segment: Segment, more: int = 1) -> None:
    """Make room for more pairs."""
    needed = len(segment.ids) + more
    if needed > len(segment.keys):
        room = max(ROOM_MIN, needed, 2 * len(segment.keys))
        segment.keys = _roomier(segment.keys, room)
        segment.sums = _roomier(segment.sums, room)


def grow_rows(head: ItemNeighbours, rows_max: int, more: int = 1) -> None:
    """Make room for more rows, up to `rows_max`."""
    needed = min(rows_max, len(head.ids) + more)
    if needed > len(head.keys):
        room = min(rows_max, max(ROOM_MIN, needed, 2 * len(head.keys)))
        head.keys, head.sums = _roomier(head.keys, room), _roomier(head.sums, room)
        head.ratios, head.figures = _roomier(head.ratios, room), _roomier(head.figures, room)


def _roomier(array: NDArray[Any], room: int) -> NDArray[Any]:
    grown = np.zeros((room, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


def take(
    segment: Segment, other: str, other_key: np.uint64, changes: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Add `changes` (below zero) to a pair, which leaves the segment at zero; what is left."""
    count = len(segment.ids)
    at = kernels.place_of(segment.keys, count, other_key)
    if at == kernels.NOWHERE:
        at, count = count, count + 1
        segment.ids.append(other)
        segment.keys[at], segment.sums[at] = other_key, 0
    segment.sums[at] += np.array(changes, np.int32)
    forward, backward, short = (int(number) for number in segment.sums[at])
    if not (forward or backward or short):
        last = segment.ids.pop()
        if at < count - 1:
            segment.ids[at] = last
            segment.keys[at], segment.sums[at] = segment.keys[count - 1], segment.sums[count - 1]
    return forward, backward, short


def weakest_but_last(segment: Segment) -> tuple[str, tuple[int, int, int]] | None:
    """The pair with the smallest sum among all but the one added last, and what takes it away."""
    count = len(segment.ids) - 1
    if count < 1:
        return None
    at = int(segment.sums[:count, :2].sum(axis=1).argmin())
    forward, backward, short = (-int(number) for number in segment.sums[at])
    return segment.ids[at], (forward, backward, short)


def forget_row(head: ItemNeighbours, row: int) -> None:
    """Take a row off the cache."""
    kernels.leave_out(head.keys, head.sums, head.ratios, head.figures, len(head.ids), row)
    del head.ids[row]


def rebuild(
    pairs: Iterable[tuple[str, tuple[int, int, int], float]],
    total: int,
    rows_max: int,
    formula: tuple[float, float],
) -> ItemNeighbours:
    """The cache of an item from its pairs (other item, sums, ratio): the best by similarity.

    Ties go by key, so that any two ways to the same truth give the same cache. Of the figures
    only the key is known.

    Args:
        pairs: All pairs of the item.
        total: Its sum of strengths.
        rows_max: Rows of the cache.
        formula: Share of what came after, and damping.
    """

    def rank(pair: tuple[str, tuple[int, int, int], float]) -> tuple[float, int]:
        sim = kernels.similarity(np.array(pair[1], np.int32), pair[2], float(total), *formula)
        return -sim, item_key(pair[0])

    best = sorted(pairs, key=rank)[:rows_max]
    keys = np.array([item_key(other) for other, _, _ in best], np.uint64)
    figures = np.zeros((len(best), FIGURES_WORDS), np.uint32)
    figures[:, :2] = keys.view("<u4").reshape(-1, 2)
    return ItemNeighbours(
        sum=total, ids=[other for other, _, _ in best], keys=keys,
        sums=np.array([sums for _, sums, _ in best], np.int32).reshape(-1, 3),
        ratios=np.array([ratio for _, _, ratio in best], np.float32), figures=figures,
    )  # fmt: skip
