"""Fourth stage, by item: learns which items go together, and answers with the best of them.

Truth and cache are kept apart. Truth is one integer triple a directed pair, each under a key of
its own, so an event writes as much for the most popular item as for any other; an erasure
subtracts from it exactly. The cache is the at most `rows_max` best neighbours with the figures
that came with them; it decides what an answer holds and can be rebuilt from the truth.

    sim(a, b) = (phi * forward + (1 - phi) * backward) / 100 / (sum_a * sqrt(ratio) + damping)

is the co-rating over the geometric mean of the two sums of strengths (TencentRec, SIGMOD 2015):
ratio = sum_b / sum_a travelled with the pair, and times sum_a of now it is sum_b of now within
noise, without a message. `forward` counts b after a.

Content neighbours will be blended into the answer here, by n / (n + kappa) with n co-occurrences.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from operators.messages import Learn, PairSeen, Pulled, SimilarRow, SumTaken, order
from operators.packing import (
    FIGURES,
    NEIGHBOUR,
    PAIR,
    PULLED,
    Words,
    item_key,
    ratio_of,
    raw_of,
    words,
)  # fmt: skip
from operators.stage import BytesCodec, Codec, Out, StructCodec, Table, pair_key, scoped, tick

Floats = NDArray[np.float64]


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


@dataclass
class ItemNeighbours:
    """One item: its sum of strengths, and its cached neighbours in order of arrival.

    Attributes:
        clock_us: Write time of the last row of similar items.
        rows: Packed `packing.NEIGHBOUR` by item id; None where it is still in the pair table.
        sims: Similarity of each row at this sum, or None until it is needed; never stored.
        heap: The same as a heap, smallest first, with entries that are no longer true; or None.
    """

    sum: int = 0
    clock_us: int = 0
    title: str = ""
    rows: dict[str, bytes | None] = field(default_factory=dict)
    sims: dict[str, float] | None = None
    heap: list[tuple[float, str]] | None = None


class _NeighboursCodec:
    version = 1
    weight = 50
    _inner: StructCodec[tuple[int, int, str, list[str]]] = StructCodec(
        tuple[int, int, str, list[str]]
    )

    def encode(self, value: ItemNeighbours) -> bytes:
        return self._inner.encode((value.sum, value.clock_us, value.title, list(value.rows)))

    def decode(self, data: bytes) -> ItemNeighbours:
        total, clock_us, title, ids = self._inner.decode(data)
        return ItemNeighbours(total, clock_us, title, dict.fromkeys(ids))


Changed = tuple[str, str, int]


@dataclass
class NeighboursState:
    """Items; pairs by item and other item: `packing.PAIR`, a cached one `NEIGHBOUR`; changed items.

    `changed` holds (tenant, item, time) of the items whose stored list has to be renewed.
    """

    item: Table[ItemNeighbours]
    pair: Table[bytes]
    changed: Table[Changed]


class Neighbours:
    """See the module."""

    name = "neighbours"
    inputs = Learn | PairSeen | SumTaken
    codecs: Mapping[str, Codec[Any]] = {
        "item": _NeighboursCodec(),
        "pair": BytesCodec(),
        "changed": StructCodec(Changed),
    }
    state_type = NeighboursState
    order = staticmethod(order)

    def __init__(self, settings: NeighboursSettings) -> None:
        self._settings = settings

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
                head.sims = None
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
        if self._add(state, key, head, message.other, changes, message.ratio, message.figures):
            _keep(state, key, head)
        if not message.figures:  # an erasure: the stored list must not outlive it
            state.changed.put(key, (message.tenant, message.item, message.time_ms))

    def _answer(self, state: NeighboursState, message: Learn) -> Out:
        counted = message.counted
        signal, raw = counted.signal, raw_of(counted.figures)
        key = scoped(signal.tenant, signal.item)
        head = state.item.get(key) or ItemNeighbours()
        if message.increase:
            head.sum += message.increase
            head.sims = None
        for other, weight, _, figures in message.pairs:
            self._add(state, key, head, other, (0, weight, 0), ratio_of(figures, raw), figures)
        head.title = counted.title
        rows = _load(state, key, head)
        sim, short = similarities(rows, head.sum, self._settings)
        head.sims, head.heap = dict(zip(head.rows, sim.tolist(), strict=True)), None
        state.item.put(key, head)
        state.changed.put(key, (signal.tenant, signal.item, counted.time_ms))
        answer = Pulled(
            counted.time_ms, counted.event_id, counted, list(head.rows), _pulled(rows, sim, short)
        )
        return Out("ranking", scoped(signal.tenant, signal.user), answer)

    def _add(
        self,
        state: NeighboursState,
        key: str,
        head: ItemNeighbours,
        other: str,
        changes: tuple[int, int, int],
        ratio: float,
        figures: bytes,
    ) -> bool:
        """Add to a pair's truth and keep the cache right; whether the item itself changed."""
        table_key = pair_key(key, other)
        cached = other in head.rows
        packed = head.rows.get(other) or state.pair.get(table_key)
        forward, backward, short = changes
        if packed is not None:
            known = PAIR.unpack_from(packed)
            forward, backward, short = forward + known[0], backward + known[1], short + known[2]
            if not figures:  # an erasure: what it takes away, it knows nothing else of
                ratio, figures = known[3], packed[PAIR.size :]
        if not (forward or backward or short):
            state.pair.delete(table_key)
            head.sims = None
            return head.rows.pop(other, self) is not self
        pair = PAIR.pack(forward, backward, short, ratio)
        if not cached and not (figures and self._belongs(state, key, head, pair)):
            state.pair.put(table_key, pair)
            return False
        row = head.rows[other] = pair + figures
        if head.sims is not None:
            self._note_similarity(head, other, pair)
        state.pair.put(table_key, row)
        return not cached

    def _note_similarity(self, head: ItemNeighbours, other: str, pair: bytes) -> None:
        assert head.sims is not None
        sim = head.sims[other] = _similarity(pair, head.sum, self._settings)
        if head.heap is not None:
            heappush(head.heap, (sim, other))

    def _belongs(self, state: NeighboursState, key: str, head: ItemNeighbours, pair: bytes) -> bool:
        """Whether a pair enters the cache; if the cache is full, its worst row leaves for it."""
        if len(head.rows) < self._settings.rows_max:
            return True
        if head.sims is None:
            sims, _ = similarities(_load(state, key, head), head.sum, self._settings)
            head.sims, head.heap = dict(zip(head.rows, sims.tolist(), strict=True)), None
        smallest, worst = _smallest(head, head.sims)
        if _similarity(pair, head.sum, self._settings) <= smallest:
            return False
        packed = head.rows.pop(worst) or b""
        del head.sims[worst]
        state.pair.put(pair_key(key, worst), packed[: PAIR.size])
        return True

    def _similar(
        self, state: NeighboursState, key: str, tenant: str, item: str, time_ms: int
    ) -> list[Out]:
        head = state.item.get(key)
        if head is None:  # an erasure took all of it
            return [Out("rows", key, SimilarRow(1000 * time_ms, tenant, item, item, [], b""))]
        if not head.rows and not head.clock_us:
            return []
        sim, _ = similarities(_load(state, key, head), head.sum, self._settings)
        best = np.argsort(-sim, kind="stable")[: self._settings.similar_max]
        head.clock_us = tick(head.clock_us, time_ms)
        state.item.put(key, head)
        ids, scores = list(head.rows), sim[best].astype("<f4").tobytes()
        named = [ids[place] for place in best.tolist()]
        return [
            Out("rows", key, SimilarRow(head.clock_us, tenant, item, head.title, named, scores))
        ]


def similarities(rows: Words, total: int, settings: NeighboursSettings) -> tuple[Floats, Floats]:
    """Similarity and short-term similarity of packed neighbours, shape (n,), see the module."""
    phi, sums = settings.forward_share, rows[:, :3].view("<i4")
    below = 100.0 * (total * np.sqrt(rows[:, 3].astype(np.float64)) + settings.damping)
    return (phi * sums[:, 0] + (1 - phi) * sums[:, 1]) / below, sums[:, 2] / below


def _smallest(head: ItemNeighbours, sims: Mapping[str, float]) -> tuple[float, str]:
    """The smallest similarity and its row; of equal ones that with the smallest item id."""
    heap = head.heap
    if heap is None or len(heap) > 4 * len(sims):
        heap = head.heap = [(sim, other) for other, sim in sims.items()]
        heapify(heap)
    while sims.get(heap[0][1]) != heap[0][0]:
        heappop(heap)
    return heap[0]


def rebuild(pairs: Iterable[tuple[str, bytes]], total: int, settings: NeighboursSettings) -> (
    ItemNeighbours
):  # fmt: skip
    """The cache of an item from its pairs (other item, packed): the best by similarity.

    Ties go by item id, so that any two ways to the same truth give the same cache.
    """
    ordered = sorted(pairs, key=lambda pair: (-_similarity(pair[1], total, settings), pair[0]))
    best = ordered[: settings.rows_max]
    rows: dict[str, bytes | None] = {
        other: packed[: PAIR.size] + (packed[PAIR.size :] or _only_key(other))
        for other, packed in best
    }
    return ItemNeighbours(total, rows=rows)


def _only_key(item: str) -> bytes:
    """Figures of an item of which nothing else is known here."""
    return item_key(item).to_bytes(8, "little") + bytes(FIGURES.itemsize - 8)


def _similarity(packed: bytes, total: int, settings: NeighboursSettings) -> float:
    forward, backward, _, ratio = PAIR.unpack_from(packed)
    weight = settings.forward_share * forward + (1 - settings.forward_share) * backward
    return float(weight / (100.0 * (total * math.sqrt(ratio) + settings.damping)))


def _load(state: NeighboursState, key: str, head: ItemNeighbours) -> Words:
    """All cached rows as words, read from the pair table where they are not at hand."""
    if None in head.rows.values():
        for other, packed in head.rows.items():
            if packed is None:
                head.rows[other] = state.pair.get(pair_key(key, other))
    return words(b"".join(head.rows.values()), NEIGHBOUR)  # type: ignore[arg-type]


def _pulled(rows: Words, sim: Floats, short: Floats) -> bytes:
    answer = np.empty((len(rows), PULLED.itemsize // 4), np.float32)
    answer[:, 0], answer[:, 1] = sim, short
    answer[:, 2:] = rows[:, 4:]
    return answer.tobytes()


def _keep(state: NeighboursState, key: str, head: ItemNeighbours) -> None:
    """Store an item, or nothing where nothing is left of it."""
    if head.sum or head.rows:
        state.item.put(key, head)
    else:
        state.item.delete(key)
