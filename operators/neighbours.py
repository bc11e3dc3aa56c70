"""Fourth stage, by item: learns which items go together, and answers with the best of them.

Truth and cache are kept apart. Truth is one integer triple a directed pair, in segments of a few
hundred pairs that grow by linear hashing, so an event touches as much for the most popular item
as for any other; an erasure subtracts from it exactly. The cache is the at most `rows_max` best
neighbours with the figures that came with them; it decides what an answer holds and can be
rebuilt from the truth.

    sim(a, b) = (phi * forward + (1 - phi) * backward) / 100 / (sum_a * sqrt(ratio) + damping)

is the co-rating over the geometric mean of the two sums of strengths (TencentRec, SIGMOD 2015):
ratio = sum_b / sum_a travelled with the pair, and times sum_a of now it is sum_b of now within
noise, without a message. `forward` counts b after a.

Content neighbours will be blended into the answer here, by n / (n + kappa) with n co-occurrences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct

from operators import kernels
from operators.messages import Learn, PairSeen, Pulled, SimilarRow, SumTaken, order
from operators.packing import PULLED, item_key, key_of, ratio_of, raw_of
from operators.pairs import (
    PAIRS_A_SEGMENT,
    ItemNeighbours,
    NeighboursCodec,
    Segment,
    SegmentCodec,
    forget_row,
    grow_rows,
    grow_segment,
    segment_of,
    split,
    take,
)
from operators.stage import Codec, Out, StructCodec, Table, pair_key, scoped, tick


class NeighboursSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the stage; all are used at read only, so they may change at any time.

    Attributes:
        rows_max: Neighbours kept and answered with, an item.
        forward_share: phi: 1 counts only what came after, 0 only what came before.
        damping: Strength units (10: one full like) that a pair must outweigh to count.
        similar_max: Length of the stored list of similar items.
    """

    rows_max: int = 100
    forward_share: float = 0.7
    damping: float = 100.0
    similar_max: int = 20


Changed = tuple[str, str, int]


@dataclass
class NeighboursState:
    """Items; segments of their pairs by item and number; changed items.

    `changed` holds (tenant, item, time) of the items whose stored list has to be renewed.
    """

    item: Table[ItemNeighbours]
    pair: Table[Segment]
    changed: Table[Changed]


class Neighbours:
    """See the module."""

    name = "neighbours"
    inputs = Learn | PairSeen | SumTaken
    codecs: Mapping[str, Codec[Any]] = {
        "item": NeighboursCodec(),
        "pair": SegmentCodec(),
        "changed": StructCodec(Changed),
    }
    state_type = NeighboursState
    order = staticmethod(order)

    def __init__(self, settings: NeighboursSettings) -> None:
        self._settings = settings
        self._formula = settings.forward_share, settings.damping

    def apply(
        self, state: NeighboursState, batch: Sequence[Learn | PairSeen | SumTaken]
    ) -> list[Out]:
        outs: list[Out] = []
        for message in batch:
            if isinstance(message, PairSeen):
                self._see(state, message)
            elif isinstance(message, SumTaken):
                key = scoped(message.tenant, message.item)
                head = state.item.get(key) or ItemNeighbours()
                head.sum -= message.decrease
                _keep(state, key, head)
                state.changed.put(key, (message.tenant, message.item, message.time_ms))
            else:
                outs.append(self._answer(state, message))
        return outs

    def settle(self, state: NeighboursState) -> list[Out]:
        """Rows of similar items, of all items that were touched since the last call."""
        outs: list[Out] = []
        for key in state.changed.all_keys():
            changed = state.changed.get(key)
            if changed is not None:
                outs += self._similar(state, key, *changed)
        state.changed.clear()
        return outs

    def _see(self, state: NeighboursState, message: PairSeen) -> None:
        key = scoped(message.tenant, message.item)
        head = state.item.get(key) or ItemNeighbours()
        changes = (message.forward, message.backward, message.short)
        if message.figures:
            self._add(state, key, head, message.other, changes, message.ratio, message.figures)
        else:  # an erasure: the stored list must not outlive it
            _take(state, key, head, message.other, changes)
            state.changed.put(key, (message.tenant, message.item, message.time_ms))
        _keep(state, key, head)

    def _answer(self, state: NeighboursState, message: Learn) -> Out:
        counted = message.counted
        signal, raw = counted.signal, raw_of(counted.figures)
        key = scoped(signal.tenant, signal.item)
        head = state.item.get(key) or ItemNeighbours()
        head.sum += message.increase
        for other, weight, _, figures in message.pairs:
            self._add(state, key, head, other, (0, weight, 0), ratio_of(figures, raw), figures)
        head.title = counted.title
        state.item.put(key, head)
        state.changed.put(key, (signal.tenant, signal.item, counted.time_ms))
        rows = self._rows(head).tobytes()
        answer = Pulled(counted.time_ms, counted.event_id, counted, list(head.ids), rows)
        return Out("ranking", scoped(signal.tenant, signal.user), answer)

    def _rows(self, head: ItemNeighbours) -> Any:
        """`packing.PULLED` records of the cached rows, as words."""
        rows = np.empty((len(head.ids), PULLED.itemsize // 4), np.float32)
        kernels.answer_rows(
            head.sums, head.ratios, head.figures, len(head.ids), float(head.sum),
            *self._formula, rows,
        )  # fmt: skip
        return rows

    def _add(
        self,
        state: NeighboursState,
        key: str,
        head: ItemNeighbours,
        other: str,
        changes: tuple[int, int, int],
        ratio: float,
        figures: bytes,
    ) -> None:
        """Add to a pair's truth and keep the cache right."""
        place = pair_key(key, str(segment_of(key_of(figures), head.segments)))
        segment = state.pair.get(place) or Segment()
        grow_segment(segment)
        grow_rows(head, self._settings.rows_max)
        found, gone, enters = kernels.see_pair(
            segment.keys, segment.sums, len(segment.ids),
            head.keys, head.sums, head.ratios, head.figures, len(head.ids),
            self._settings.rows_max, np.frombuffer(figures, "<u4"), *changes, ratio,
            float(head.sum), *self._formula,
        )  # fmt: skip
        if found == kernels.NEW:
            segment.ids.append(other)
            head.pairs += 1
        if gone != kernels.NOWHERE:
            del head.ids[gone]
        if enters:
            head.ids.append(other)
        state.pair.put(place, segment)
        if found == kernels.EMPTY:
            _take(state, key, head, other, (0, 0, 0))
        if head.pairs > PAIRS_A_SEGMENT * head.segments:
            split(state.pair, key, head)

    def _similar(
        self, state: NeighboursState, key: str, tenant: str, item: str, time_ms: int
    ) -> list[Out]:
        head = state.item.get(key)
        if head is None:  # an erasure took all of it
            return [Out("rows", key, SimilarRow(1000 * time_ms, tenant, item, item, [], b""))]
        if not head.ids and not head.clock_us:
            return []
        sim = self._rows(head)[:, 0]
        best = np.argsort(-sim, kind="stable")[: self._settings.similar_max]
        head.clock_us = tick(head.clock_us, time_ms)
        state.item.put(key, head)
        named = [head.ids[place] for place in best.tolist()]
        scores = sim[best].astype("<f4").tobytes()
        return [
            Out("rows", key, SimilarRow(head.clock_us, tenant, item, head.title, named, scores))
        ]


def _take(
    state: NeighboursState,
    key: str,
    head: ItemNeighbours,
    other: str,
    changes: tuple[int, int, int],
) -> None:
    """Take back from a pair; a pair of which nothing is left is gone from truth and cache."""
    other_key = np.uint64(item_key(other))
    place = pair_key(key, str(segment_of(int(other_key), head.segments)))
    segment = state.pair.get(place) or Segment()
    grow_segment(segment)
    known = len(segment.ids)
    left = take(segment, other, other_key, changes)
    head.pairs += len(segment.ids) - known
    row = kernels.place_of(head.keys, len(head.ids), other_key)
    if row != kernels.NOWHERE:
        if any(left):
            head.sums[row] = left
        else:
            forget_row(head, row)
    if segment.ids:
        state.pair.put(place, segment)
    else:
        state.pair.delete(place)


def _keep(state: NeighboursState, key: str, head: ItemNeighbours) -> None:
    """Store an item, or nothing where nothing is left of it."""
    if head.sum or head.pairs:
        state.item.put(key, head)
    else:
        state.item.delete(key)
