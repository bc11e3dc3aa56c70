"""What the neighbours keep of one item: the truth of its pairs in segments, and the best rows.

Segments grow by linear hashing (Litwin, VLDB 1980): one is split whenever there are more than
`PAIRS_A_SEGMENT` pairs a segment on average, so none has to be rewritten whole and a pair is
found in one of them by the low bits of its key.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from operators import kernels
from operators.packing import FIGURES, item_key
from operators.stage import StructCodec, Table, pair_key

Numbers = NDArray[np.uint32]
Sums = NDArray[np.int32]

FIGURES_WORDS = FIGURES.itemsize // 4
SEGMENT_ROWS, CACHE_ROWS = kernels.SUMS + 3, kernels.RATIO + 1
ROOM_MIN = 8
PAIRS_A_SEGMENT = 256
NO_SIMS = np.empty(0, np.float64)


def _empty(rows: int) -> Numbers:
    return np.empty((rows, 0), np.uint32)


@dataclass
class ItemNeighbours:
    """One item: its sum of strengths, and its cached neighbours in order of arrival.

    Attributes:
        clock_us: Write time of the last row of similar items.
        pairs: Number of its pairs, in `segments` segments.
        ids: Item ids of the cached rows; the arrays may have room for more.
        cache: A column a cached row, of words by `kernels.LOW` and its like: key, forward,
            backward, and short sum (times 100), and sum of strengths of the row's item over that
            of this one. Shape (6, room).
        figures: `packing.FIGURES` of each row, as words, shape (room, 11).
    """

    sum: int = 0
    clock_us: int = 0
    title: str = ""
    pairs: int = 0
    segments: int = 1
    ids: list[str] = field(default_factory=list)
    cache: Numbers = field(default_factory=lambda: _empty(CACHE_ROWS))
    figures: Numbers = field(default_factory=lambda: np.empty((0, FIGURES_WORDS), np.uint32))

    @property
    def total(self) -> float:
        """Its sum of strengths for the formulas: they know no less than nothing.

        Below zero it is while an erasure has come before what it takes back.
        """
        return float(max(0, self.sum))

    @property
    def sums(self) -> Sums:
        """Forward, backward, and short sum of each row, shape (n, 3)."""
        return _sums(self.cache, len(self.ids))


@dataclass
class Segment:
    """Some pairs of one item: ids of the others; keys and sums as in `ItemNeighbours.cache`."""

    ids: list[str] = field(default_factory=list)
    pairs: Numbers = field(default_factory=lambda: _empty(SEGMENT_ROWS))

    @property
    def sums(self) -> Sums:
        """Forward, backward, and short sum of each pair, shape (n, 3)."""
        return _sums(self.pairs, len(self.ids))


def _sums(pairs: Numbers, count: int) -> Sums:
    return pairs[kernels.SUMS : kernels.SUMS + 3, :count].view(np.int32).T


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
        keys, sums = _packed(value.cache, rows)
        return self._inner.encode(
            _StoredItem(
                value.sum, value.clock_us, value.title, value.pairs, value.segments, value.ids,
                keys, sums, value.cache[kernels.RATIO, :rows].tobytes(),
                value.figures[:rows].tobytes(),
            )
        )  # fmt: skip

    def decode(self, data: bytes) -> ItemNeighbours:
        stored = self._inner.decode(data)
        cache = _unpacked(CACHE_ROWS, stored.keys, stored.sums)
        cache[kernels.RATIO] = np.frombuffer(stored.ratios, "<u4")
        return ItemNeighbours(
            stored.sum, stored.clock_us, stored.title, stored.pairs, stored.segments, stored.ids,
            cache, np.frombuffer(stored.figures, "<u4").reshape(-1, FIGURES_WORDS).copy(),
        )  # fmt: skip


class SegmentCodec:
    """`Segment` as MessagePack; the arrays without their spare room."""

    version = 2
    weight = 50
    _inner: StructCodec[tuple[list[str], bytes, bytes]] = StructCodec(
        tuple[list[str], bytes, bytes]
    )

    def encode(self, value: Segment) -> bytes:
        return self._inner.encode((value.ids, *_packed(value.pairs, len(value.ids))))

    def decode(self, data: bytes) -> Segment:
        ids, keys, sums = self._inner.decode(data)
        return Segment(ids, _unpacked(SEGMENT_ROWS, keys, sums))


def _packed(pairs: Numbers, count: int) -> tuple[bytes, bytes]:
    """Keys and sums of the first `count` pairs, one pair after the other."""
    return pairs[: kernels.SUMS, :count].T.tobytes(), _sums(pairs, count).tobytes()


def _unpacked(rows: int, keys: bytes, sums: bytes) -> Numbers:
    """A matrix of so many rows with what `_packed` gave."""
    pairs = np.empty((rows, len(keys) // 8), np.uint32)
    pairs[: kernels.SUMS] = np.frombuffer(keys, "<u4").reshape(-1, 2).T
    pairs[kernels.SUMS : kernels.SUMS + 3] = np.frombuffer(sums, "<u4").reshape(-1, 3).T
    return pairs


def segment_of(key: int, segments: int) -> int:
    """Number of the segment that a key lies in, of so many.

    >>> [segment_of(key, 3) for key in range(8)]
    [0, 1, 2, 1, 0, 1, 2, 1]
    """
    return int(kernels.segment_of(key & 0xFFFF_FFFF, segments))


def split(table: Table[Segment], key: str, head: ItemNeighbours) -> None:
    """Make one segment more, from pairs of the one whose turn it is."""
    added = head.segments
    level = 1 << (added.bit_length() - 1)
    places = pair_key(key, str(added - level)), pair_key(key, str(added))
    whole = table.get(places[0]) or Segment()
    moves = (whole.pairs[kernels.LOW, : len(whole.ids)] & np.uint32(2 * level - 1)) == added
    head.segments += 1
    for place, chosen in zip(places, (np.flatnonzero(~moves), np.flatnonzero(moves)), strict=True):
        if len(chosen):
            ids = [whole.ids[number] for number in chosen.tolist()]
            table.put(place, Segment(ids, whole.pairs.take(chosen, axis=1)))
        else:
            table.delete(place)


def grow_segment(segment: Segment, more: int = 1) -> None:
    """Make room for more pairs."""
    needed, room = len(segment.ids) + more, segment.pairs.shape[1]
    if needed > room:
        grown = np.empty((SEGMENT_ROWS, max(ROOM_MIN, needed, 2 * room)), np.uint32)
        grown[:, :room] = segment.pairs
        segment.pairs = grown


def grow_rows(head: ItemNeighbours, rows_max: int, more: int) -> None:
    """Make room for more rows, up to `rows_max`."""
    needed, room = min(rows_max, len(head.ids) + more), len(head.figures)
    if needed > room:
        roomier = min(rows_max, max(ROOM_MIN, needed, 2 * room))
        cache = np.empty((CACHE_ROWS, roomier), np.uint32)
        figures = np.empty((roomier, FIGURES_WORDS), np.uint32)
        cache[:, :room], figures[:room] = head.cache, head.figures
        head.cache, head.figures = cache, figures


def take(segment: Segment, other: str, changes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Add `changes` (below zero) to a pair, which leaves the segment at zero; what is left."""
    count, key = len(segment.ids), words_of(item_key(other))
    at = kernels.column_of(segment.pairs, count, *key)
    if at == kernels.NOWHERE:
        at, count = count, count + 1
        segment.ids.append(other)
        segment.pairs[: kernels.SUMS, at], segment.pairs[kernels.SUMS :, at] = key, 0
    segment.sums[at] += np.array(changes, np.int32)
    forward, backward, short = segment.sums[at].tolist()
    if not (forward or backward or short):
        last = segment.ids.pop()
        if at < count - 1:
            segment.ids[at] = last
            segment.pairs[:, at] = segment.pairs[:, count - 1]
    return forward, backward, short


def weakest_but_last(segment: Segment) -> tuple[str, tuple[int, int, int]] | None:
    """The pair with the smallest sum among all but the one added last, and what takes it away."""
    count = len(segment.ids) - 1
    if count < 1:
        return None
    at = int(segment.sums[:count, :2].sum(axis=1).argmin())
    forward, backward, short = (-number for number in segment.sums[at].tolist())
    return segment.ids[at], (forward, backward, short)


def follow(head: ItemNeighbours, other: str, left: tuple[int, int, int]) -> None:
    """Let the cache follow what is left of a pair; of nothing no row."""
    rows = len(head.ids)
    row = kernels.column_of(head.cache, rows, *words_of(item_key(other)))
    if row == kernels.NOWHERE:
        return
    if any(left):
        head.sums[row] = left
    else:
        kernels.leave_out(head.cache, head.figures, NO_SIMS, rows, row)
        del head.ids[row]


def words_of(key: int) -> tuple[np.uint32, np.uint32]:
    """The two words of an item's key."""
    return np.uint32(key & 0xFFFF_FFFF), np.uint32(key >> 32)


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
        other, (forward, backward, _), ratio = pair
        sim = kernels.similarity(forward, backward, ratio, float(total), *formula)
        return -sim, item_key(other)

    best = sorted(pairs, key=rank)[:rows_max]
    cache = np.zeros((CACHE_ROWS, len(best)), np.uint32)
    figures = np.zeros((len(best), FIGURES_WORDS), np.uint32)
    for row, (other, sums, ratio) in enumerate(best):
        cache[: kernels.SUMS, row] = figures[row, : kernels.SUMS] = words_of(item_key(other))
        cache.view(np.int32)[kernels.SUMS : kernels.RATIO, row] = sums
        cache.view(np.float32)[kernels.RATIO, row] = ratio
    return ItemNeighbours(
        sum=total, ids=[other for other, _, _ in best], cache=cache, figures=figures
    )
