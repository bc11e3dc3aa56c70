"""Pairs of one item that follow each other, added to its truth and its cache at once.

A run costs one visit to the item and one to each segment it touches, instead of one each a pair:
a batch brings many pairs for the same item. The result is the same to the bit as that of its pairs
one by one.
"""

import struct
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators import kernels
from operators.messages import PairSeen
from operators.packing import item_key
from operators.pairs import (
    PAIRS_A_SEGMENT,
    ItemNeighbours,
    Numbers,
    Segment,
    follow,
    grow_rows,
    grow_segment,
    segment_of,
    split,
    take,
    weakest_but_last,
)
from operators.stage import Table, pair_key

_CHANGES = struct.Struct("<3if")


class Run(NamedTuple):
    """Pairs in order: ids of the others, and a record each, see `kernels.CHANGES`.

    The first `early` of them count as if added while the item's sum of strengths was `before`.
    """

    others: list[str]
    records: Numbers
    early: int = 0
    before: float = 0.0

    def part(self, start: int, end: int) -> "Run":
        """The pairs from one number to another."""
        early = max(0, self.early - start)
        return Run(self.others[start:end], self.records[start:end], early, self.before)


class Bounds(NamedTuple):
    """Pairs of an item and rows of its cache at the most; share of what came after, and damping."""

    pairs_max: int
    rows_max: int
    formula: tuple[float, float]


def packed(figures: bytes, changes: tuple[int, int, int], ratio: float) -> bytes:
    """The record of a pair."""
    return figures + _CHANGES.pack(*changes, ratio)


def record_of(seen: PairSeen) -> bytes:
    """A pair that was added, in the form of earlier releases, as a record of `PairsSeen`."""
    return packed(seen.figures, (seen.forward, seen.backward, seen.short), seen.ratio)


def numbers_of(records: bytes) -> Numbers:
    """Packed records, shape (n, `kernels.RUN_WORDS`)."""
    return np.frombuffer(records, "<u4").reshape(-1, kernels.RUN_WORDS)


def add(table: Table[Segment], key: str, head: ItemNeighbours, run: Run, bounds: Bounds) -> None:
    """Add a run to the truth and keep the cache right.

    A segment is split, and a pair pushed out, right after the pair that makes it one too many: the
    run is cut there.
    """
    start, count = 0, len(run.others)
    while start < count:
        room = min(PAIRS_A_SEGMENT * head.segments, bounds.pairs_max) - head.pairs
        end = start + max(0, room) + 1
        part = run if start == 0 and end >= count else run.part(start, end)
        last = _add(table, key, head, part, bounds)
        start = end
        if head.pairs > bounds.pairs_max:
            weakest = weakest_but_last(last)
            if weakest is not None:
                take_back(table, key, head, *weakest)
        if head.pairs > PAIRS_A_SEGMENT * head.segments:
            split(table, key, head)


def _add(
    table: Table[Segment], key: str, head: ItemNeighbours, run: Run, bounds: Bounds
) -> Segment:
    """Add a run that splits nothing and pushes nothing out; the segment of its last pair."""
    others, records, early, before = run
    told = np.zeros((kernels.TOLD_ROWS, len(others)), np.int32)
    touched = _touched(table, key, head, run, told)
    grow_rows(head, bounds.rows_max, len(others))
    best = head.cache, head.figures, len(head.ids), bounds.rows_max
    sums = early, before, head.total
    if len(touched) == 1:
        ((_, segment),) = touched.values()
        moved = kernels.see_run(
            segment.pairs, len(segment.ids), *best, records, told, *sums, *bounds.formula
        )
    else:
        for number, (_, segment) in touched.items():
            kernels.add_run(segment.pairs, len(segment.ids), records, number, told)
        moved = kernels.keep_best(*best, records, told, *sums, *bounds.formula)
        segment = touched[int(told[kernels.SEGMENT, -1])][1]
    if moved:
        _name(touched, head, others, told)
    for place, one in touched.values():
        _keep(table, place, one)
    return segment


def _touched(
    table: Table[Segment], key: str, head: ItemNeighbours, run: Run, told: NDArray[np.int32]
) -> dict[int, tuple[str, Segment]]:
    """Place and segment by number, of those of a run's pairs, with room for them.

    `told` gets the numbers.
    """
    if head.segments == 1:
        counts = {0: len(run.others)}
    else:
        kernels.number_run(run.records, head.segments, told)
        numbers = told[kernels.SEGMENT].tolist()
        counts = {number: numbers.count(number) for number in dict.fromkeys(numbers)}
    touched = {}
    for number, more in counts.items():
        place = pair_key(key, str(number))
        segment = table.get(place) or Segment()
        grow_segment(segment, more)
        touched[number] = place, segment
    return touched


def _name(
    touched: dict[int, tuple[str, Segment]],
    head: ItemNeighbours,
    others: Sequence[str],
    told: NDArray[np.int32],
) -> None:
    """Let the names follow what the kernels did to the numbers."""
    found, enters, gone, *where = told[: kernels.LEFT].tolist()
    if kernels.EMPTY in found:
        for other, one, at, number in zip(others, found, *where, strict=True):
            head.pairs += _name_pair(touched[number][1].ids, other, one, at)
    else:
        new = list(compress(others, found))  # `NEW` is true, `KNOWN` is not
        head.pairs += len(new)
        if len(touched) == 1:
            ((_, segment),) = touched.values()
            segment.ids += new
        else:
            for other, number in zip(new, compress(where[1], found), strict=True):
                touched[number][1].ids.append(other)
    if max(gone) == kernels.NOWHERE:
        head.ids += compress(others, enters)
        return
    for other, place, entered in zip(others, gone, enters, strict=True):
        if place != kernels.NOWHERE:
            del head.ids[place]
        if entered:
            head.ids.append(other)


def _name_pair(ids: list[str], other: str, found: int, at: int) -> int:
    """Name one pair among those of its segment; how many more these are."""
    if found == kernels.NEW:
        ids.append(other)
        return 1
    if found == kernels.KNOWN or at == kernels.NOWHERE:
        return 0
    ids[at] = ids[-1]
    ids.pop()
    return -1


def take_back(
    table: Table[Segment],
    key: str,
    head: ItemNeighbours,
    other: str,
    changes: tuple[int, int, int],
) -> None:
    """Take back from a pair; a pair of which nothing is left is gone from truth and cache."""
    place = pair_key(key, str(segment_of(item_key(other), head.segments)))
    segment = table.get(place) or Segment()
    grow_segment(segment)
    known = len(segment.ids)
    left = take(segment, other, changes)
    head.pairs += len(segment.ids) - known
    follow(head, other, left)
    _keep(table, place, segment)


def _keep(table: Table[Segment], place: str, segment: Segment) -> None:
    """Store a segment, or nothing where nothing is left of it."""
    if segment.ids:
        table.put(place, segment)
    else:
        table.delete(place)
