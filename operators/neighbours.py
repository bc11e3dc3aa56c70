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

Beside it stand the items that say the like (`alike`): an answer has both, `sim` and worth *
cosine, and the ranking learns what each counts for. In the stored list of similar items they are
blended,

    similar(a, b) = sim(a, b) + worth * kappa / (n + kappa) * cosine(a, b)

where n is what a has been liked, in full likes: an item that nobody has touched is known by what
it says alone, and what people do takes over as they do it. `sim` needs no factor n / (n + kappa)
of its own: the damping is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct

from operators import kernels
from operators.alike import ContentCodec, ItemContent, meet, renew
from operators.messages import (
    SOURCES,
    Described,
    Grown,
    ItemExpired,
    Learn,
    Near,
    PairSeen,
    Pulled,
    Recall,
    Recalled,
    SumTaken,
    order,
)
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
    weakest_but_last,
)
from operators.results import SimilarRow
from operators.stage import Codec, Out, StructCodec, Table, in_turn, pair_key, scoped, tick
from operators.strengths import STRENGTH_MAX


class NeighboursSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the stage; all are used at read only, so they may change at any time.

    Attributes:
        rows_max: Neighbours kept and answered with, an item.
        forward_share: phi: 1 counts only what came after, 0 only what came before.
        damping: Strength units (10: one full like) that a pair must outweigh to count.
        similar_max: Length of the stored list of similar items.
        alike_max: Items kept that say the like of one.
        content_worth: What a cosine of 1 counts for, beside similarities.
        content_until: kappa: likes of an item at which its content counts half among its similar
            items.
        pairs_max: Pairs kept an item, about: with more, each new one pushes out the weakest of its
            segment. What an erasure takes from one that is gone stays below zero, and is the next
            to go.
    """

    rows_max: int = 100
    forward_share: float = 0.7
    damping: float = 100.0
    similar_max: int = 20
    alike_max: int = 20
    content_worth: float = 0.06
    content_until: float = 2.0
    pairs_max: int = 50_000


Changed = tuple[str, str, int]
Message = Learn | PairSeen | SumTaken | ItemExpired | Described | Near | Grown | Recall
CO_OCCURRENCE, CONTENT = SOURCES.index("co_occurrence"), SOURCES.index("content")


@dataclass
class NeighboursState:
    """Items; segments of their pairs by item and number; what items say; changed items.

    `changed` holds (tenant, item, time) of the items whose stored list has to be renewed, `turn`
    the one of them that was renewed last.
    """

    item: Table[ItemNeighbours]
    pair: Table[Segment]
    content: Table[ItemContent]
    changed: Table[Changed]
    turn: Table[str]


class Neighbours:
    """See the module."""

    name = "neighbours"
    inputs = Message
    codecs: Mapping[str, Codec[Any]] = {
        "item": NeighboursCodec(),
        "pair": SegmentCodec(),
        "content": ContentCodec(),
        "changed": StructCodec(Changed),
        "turn": StructCodec(str),
    }
    state_type = NeighboursState
    order = staticmethod(order)

    def __init__(self, settings: NeighboursSettings) -> None:
        self._settings = settings
        self._formula = settings.forward_share, settings.damping

    def apply(self, state: NeighboursState, batch: Sequence[Message]) -> list[Out]:
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
            elif isinstance(message, Described | Near):
                self._hear(state, message)
            elif isinstance(message, Grown):
                _renew(state, message)
            elif isinstance(message, ItemExpired):
                _expire(state, message)
            elif isinstance(message, Recall):
                outs += self._recall(state, message)
            else:
                outs.append(self._answer(state, message))
        return outs

    def settle(self, state: NeighboursState, limit: int | None = None) -> list[Out]:
        """Rows of similar items, of items that were touched since theirs was written."""
        outs: list[Out] = []
        for key in in_turn(state.changed, state.turn, limit):
            changed = state.changed.get(key)
            if changed is not None:
                outs += self._similar(state, key, *changed)
            state.changed.delete(key)
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

    def _hear(self, state: NeighboursState, message: Described | Near) -> None:
        """Note what the item says, or what says the like."""
        key = scoped(message.tenant, message.item)
        content = state.content.get(key)
        if content is None:
            head = state.item.get(key)
            content = ItemContent(clock_us=head.clock_us if head else 0)
        if isinstance(message, Described):
            content.about, content.title = message.about, message.title
        else:
            meet(content, message, self._settings.alike_max)
        if content.about is None and not content.ids and not content.clock_us:
            state.content.delete(key)
            return
        state.content.put(key, content)
        state.changed.put(key, (message.tenant, message.item, message.time_ms))

    def _answer(self, state: NeighboursState, message: Learn) -> Out:
        counted = message.counted
        signal, raw = counted.signal, raw_of(counted.figures)
        key = scoped(signal.tenant, signal.item)
        head = state.item.get(key) or ItemNeighbours()
        head.sum += message.increase
        done = self._add_all(state, key, head, message.pairs, raw)
        for other, weight, _, figures in message.pairs[done:]:
            self._add(state, key, head, other, (0, weight, 0), ratio_of(figures, raw), figures)
        head.title = counted.title
        state.item.put(key, head)
        state.changed.put(key, (signal.tenant, signal.item, counted.time_ms))
        content = state.content.get(key)
        ids, rows = self._rows(head, content)
        about = content.about if content else None
        answer = Pulled(
            counted.time_ms, counted.event_id, counted, ids, rows.tobytes(), about,
            message.returned,
        )  # fmt: skip
        return Out("ranking", scoped(signal.tenant, signal.user), answer)

    def _recall(self, state: NeighboursState, ask: Recall) -> list[Out]:
        """The neighbours of an item that a user touched long ago; nothing of an unknown one."""
        key = scoped(ask.tenant, ask.item)
        head, content = state.item.get(key), state.content.get(key)
        ids, rows = self._rows(head or ItemNeighbours(), content)
        told = Recalled(
            ask.time_ms, ask.event_id, ask.tenant, ask.user, ask.seq, ask.item, ask.strength,
            ask.place, ids, rows.tobytes(),
        )  # fmt: skip
        return [Out("ranking", scoped(ask.tenant, ask.user), told)] if ids else []

    def _rows(self, head: ItemNeighbours, content: ItemContent | None) -> tuple[list[str], Any]:
        """Ids and `packing.PULLED` records, as words, of the cached rows and of what is alike."""
        known, near = len(head.ids), len(content.ids) if content else 0
        rows = np.empty((known + near, PULLED.itemsize // 4), np.float32)
        kernels.answer_rows(
            head.sums, head.ratios, head.figures, known, float(head.sum), *self._formula, rows
        )
        if content is None or not near:
            return list(head.ids), rows
        origin = np.empty(near, np.int64)
        count = kernels.add_alike(
            head.keys, known, content.keys, content.sims, content.figures,
            self._settings.content_worth, rows, origin,
        )  # fmt: skip
        added = [content.ids[place] for place in origin[: count - known].tolist()]
        return head.ids + added, rows[:count]

    def _share(self, head: ItemNeighbours) -> float:
        """How much content counts among similar items, beside what people did with the item."""
        until = self._settings.content_until
        likes = head.sum / STRENGTH_MAX
        return until / (likes + until) if until > 0 else 0.0

    def _add_all(
        self,
        state: NeighboursState,
        key: str,
        head: ItemNeighbours,
        pairs: Sequence[tuple[str, int, int, bytes]],
        raw: float,
    ) -> int:
        """As `_add` for all pairs of a message at once, as long as one segment holds them.

        Returns:
            How many were added; the others are left to `_add`.
        """
        count = len(pairs)
        room = min(PAIRS_A_SEGMENT, self._settings.pairs_max)
        if count < 2 or head.segments > 1 or head.pairs + count > room:
            return 0
        place = pair_key(key, "0")
        segment = state.pair.get(place) or Segment()
        grow_segment(segment, count)
        grow_rows(head, self._settings.rows_max, count)
        seen = np.frombuffer(b"".join([one[3] for one in pairs]), "<u4").reshape(count, -1)
        told = np.empty((count, 3), np.int64)
        done = kernels.see_pairs(
            segment.keys, segment.sums, len(segment.ids),
            head.keys, head.sums, head.ratios, head.figures, len(head.ids),
            self._settings.rows_max, seen, np.array([one[1] for one in pairs], np.int64), raw,
            float(head.sum), *self._formula, told,
        )  # fmt: skip
        for (found, gone, enters), pair in zip(told[:done].tolist(), pairs, strict=False):
            _name(segment, head, pair[0], found, gone, enters)
        state.pair.put(place, segment)
        if told[done - 1, 0] == kernels.EMPTY:
            _take(state, key, head, pairs[done - 1][0], (0, 0, 0))
        return done

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
        number = segment_of(key_of(figures), head.segments) if head.segments > 1 else 0
        place = pair_key(key, str(number))
        segment = state.pair.get(place) or Segment()
        pairs, rows, rows_max = len(segment.ids), len(head.ids), self._settings.rows_max
        if pairs == len(segment.keys):
            grow_segment(segment)
        if rows == len(head.keys) < rows_max:
            grow_rows(head, rows_max)
        found, gone, enters = kernels.see_pair(
            segment.keys, segment.sums, pairs,
            head.keys, head.sums, head.ratios, head.figures, rows, rows_max,
            np.frombuffer(figures, "<u4"), *changes, ratio, float(head.sum), *self._formula,
        )  # fmt: skip
        if found != kernels.KNOWN or enters or gone != kernels.NOWHERE:
            _name(segment, head, other, found, gone, enters)
        state.pair.put(place, segment)
        if head.pairs > self._settings.pairs_max:
            weakest = weakest_but_last(segment)
            if weakest is not None:
                _take(state, key, head, *weakest)
        if found == kernels.EMPTY:
            _take(state, key, head, other, (0, 0, 0))
        if head.pairs > PAIRS_A_SEGMENT * head.segments:
            split(state.pair, key, head)

    def _similar(
        self, state: NeighboursState, key: str, tenant: str, item: str, time_ms: int
    ) -> list[Out]:
        found, content = state.item.get(key), state.content.get(key)
        head = found or ItemNeighbours()
        ids, rows = self._rows(head, content)
        said = self._share(head) * rows[:, 4]
        scores = (rows[:, 0] + said).astype(np.float32)
        clock_us = max(head.clock_us, content.clock_us if content else 0)
        if not ids and not clock_us and (found or content):
            return []
        best = _similar(scores, len(head.ids), self._settings.similar_max)
        written_us = tick(clock_us, time_ms)
        if found is not None:
            head.clock_us = written_us
            state.item.put(key, head)
        if content is not None:
            content.clock_us = written_us
            state.content.put(key, content)
        title = head.title or (content.title if content else "") or item
        sources = [CONTENT if said[n] > rows[n, 0] else CO_OCCURRENCE for n in best]
        row = SimilarRow(
            written_us, tenant, item, title, [ids[place] for place in best],
            scores[best].astype("<f4").tobytes(), bytes(sources),
        )  # fmt: skip
        return [Out("rows", key, row)]


def _name(
    segment: Segment, head: ItemNeighbours, other: str, found: int, gone: int, enters: int
) -> None:
    """Let the names follow what `kernels.see_pair` did to the numbers."""
    if found == kernels.NEW:
        segment.ids.append(other)
        head.pairs += 1
    if gone != kernels.NOWHERE:
        del head.ids[gone]
    if enters:
        head.ids.append(other)


def _similar(scores: Any, known: int, size: int) -> list[int]:
    """Places of the best rows, and of the best by content alone: of these half as many more."""
    order = np.argsort(-scores, kind="stable")
    best: list[int] = order[:size].tolist()
    said = [place for place in order.tolist() if place >= known and place not in best]
    return best + said[: max(0, size // 2 - sum(place >= known for place in best))]


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


def _renew(state: NeighboursState, message: Grown) -> None:
    """Take over newer figures of an item that says the like; no stored list depends on them."""
    key = scoped(message.tenant, message.item)
    content = state.content.get(key)
    if content is not None and renew(content, message):
        state.content.put(key, content)


def _expire(state: NeighboursState, message: ItemExpired) -> None:
    """Forget an item with its pairs; what others have of theirs with it stays theirs."""
    key = scoped(message.tenant, message.item)
    head = state.item.get(key)
    if head is None:
        return
    for number in range(head.segments):
        state.pair.delete(pair_key(key, str(number)))
    state.item.delete(key)
    state.changed.put(key, (message.tenant, message.item, message.time_ms))


def _keep(state: NeighboursState, key: str, head: ItemNeighbours) -> None:
    """Store an item, or nothing where nothing is left of it."""
    if head.sum or head.pairs:
        state.item.put(key, head)
    else:
        state.item.delete(key)
