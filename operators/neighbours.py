"""Fourth stage, by item: learns which items go together, and answers with the best of them.

Truth and cache are kept apart. Truth is one integer triple a directed pair, in segments of a few
hundred pairs that grow by linear hashing, so an event touches as much for the most popular item
as for any other; an erasure subtracts from it exactly. What an item learns from a later one waits
until it is asked for itself (`heard`). The cache is the at most `rows_max` best neighbours with the
figures that came with them; it decides what an answer holds and can be rebuilt from the truth.

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

from operators import kernels
from operators.alike import ContentCodec, ItemContent, meet, renew
from operators.heard import HEARD_MAX, Heard, HeardCodec, learned
from operators.id_list import join
from operators.messages import (
    SOURCES,
    Described,
    Grown,
    ItemExpired,
    Learn,
    Near,
    PairSeen,
    PairsSeen,
    Pulled,
    Recall,
    Recalled,
    SumTaken,
    order,
)
from operators.packing import PULLED
from operators.pairs import ItemNeighbours, NeighboursCodec, Segment, SegmentCodec
from operators.parameters import NeighboursSettings
from operators.results import SimilarRow
from operators.runs import Bounds, add, take_back
from operators.stage import Codec, Out, StructCodec, Table, in_turn, pair_key, scoped, tick
from operators.strengths import STRENGTH_MAX
from operators.told import Told

Changed = tuple[str, str, int]
Single = Learn | PairSeen | SumTaken | ItemExpired | Described | Near | Grown | Recall
Message = Single | PairsSeen
CO_OCCURRENCE, CONTENT = SOURCES.index("co_occurrence"), SOURCES.index("content")


@dataclass
class NeighboursState:
    """Items; segments of their pairs by item and number; what items say; changed items.

    `heard` holds the pairs of an item that nobody has asked for since, see `operators.heard`;
    `changed` holds (tenant, item, time) of the items whose stored list has to be renewed, `turn`
    the one of them that was renewed last.
    """

    item: Table[ItemNeighbours]
    pair: Table[Segment]
    heard: Table[Heard]
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
        "heard": HeardCodec(),
        "content": ContentCodec(),
        "changed": StructCodec(Changed),
        "turn": StructCodec(str),
    }
    state_type = NeighboursState
    order = staticmethod(order)

    def __init__(self, settings: NeighboursSettings) -> None:
        self._settings = settings
        formula = settings.forward_share, settings.damping
        self._bounds = Bounds(settings.pairs_max, settings.rows_max, formula)

    def apply(self, state: NeighboursState, batch: Sequence[Message]) -> list[Out]:
        """Item by item: pairs wait until something else comes about their item."""
        said = Told(batch).by_item()
        return [out for key, one in said for out in self._take_in(state, key, one)]

    def _take_in(self, state: NeighboursState, key: str, message: Heard | Single) -> list[Out]:
        if isinstance(message, Learn):
            return [self._learn(state, key, message)]
        if isinstance(message, Recall):
            return self._recall(state, key, message)
        if isinstance(message, Heard):
            self._hear(state, key, message)
        elif isinstance(message, Described | Near):
            self._describe(state, key, message)
        elif isinstance(message, Grown):
            _renew(state, key, message)
        else:
            self._add_heard(state, key)
            if isinstance(message, ItemExpired):
                _expire(state, key, message)
            else:
                _take_back(state, key, message)
        return []

    def settle(self, state: NeighboursState, limit: int | None = None) -> list[Out]:
        """Rows of similar items, of items that were touched since theirs was written."""
        outs: list[Out] = []
        for key in state.heard.all_keys() if limit is None else ():
            self._add_heard(state, key)
        for key in in_turn(state.changed, state.turn, limit):
            self._add_heard(state, key)
            changed = state.changed.get(key)
            if changed is not None:
                outs += self._similar(state, key, *changed)
            state.changed.delete(key)
        return outs

    def _hear(self, state: NeighboursState, key: str, more: Heard) -> None:
        """Note some pairs of an item; too many are added."""
        heard = state.heard.get(key)
        heard = heard.add(more) if heard else more
        state.heard.put(key, heard)
        if len(heard.others) >= HEARD_MAX:
            self._add_heard(state, key)

    def _add_heard(self, state: NeighboursState, key: str) -> None:
        """Add the pairs that an item has heard of."""
        heard = state.heard.get(key)
        if heard is None:
            return
        state.heard.delete(key)
        head, count, run = state.item.get(key), len(heard.others), heard.run()
        # An item of which nothing is left starts anew, and only one without a sum can be that.
        size = count if head and head.sum else 1
        for start in range(0, count, size):
            head = state.item.get(key) or ItemNeighbours()
            add(state.pair, key, head, run.part(start, start + size), self._bounds)
            _keep(state, key, head)

    def _describe(self, state: NeighboursState, key: str, message: Described | Near) -> None:
        """Note what the item says, or what says the like."""
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

    def _learn(self, state: NeighboursState, key: str, message: Learn) -> Out:
        """Add what an item has heard of and what it learns now, at one visit, and answer."""
        head, heard = state.item.get(key), state.heard.get(key)
        if heard is not None and not (head and head.sum):
            self._add_heard(state, key)
            head, heard = state.item.get(key), None
        head = head or ItemNeighbours()
        pairs, early, before = learned(message), 0, head.total
        if heard is not None:
            state.heard.delete(key)
            early, pairs = len(heard.others), heard.add(pairs)
        head.sum += message.increase
        if pairs.others:
            add(state.pair, key, head, pairs.run(early, before), self._bounds)
        signal = message.counted.signal
        head.title = message.counted.title
        state.item.put(key, head)
        state.changed.put(key, (signal.tenant, signal.item, message.counted.time_ms))
        return self._answer(head, state.content.get(key), message)

    def _answer(self, head: ItemNeighbours, content: ItemContent | None, message: Learn) -> Out:
        counted = message.counted
        ids, rows = self._rows(head, content)
        about = content.about if content else None
        answer = Pulled(
            counted.time_ms, counted.event_id, counted, join(ids), rows.tobytes(), about,
            message.returned,
        )  # fmt: skip
        return Out("ranking", scoped(counted.signal.tenant, counted.signal.user), answer)

    def _recall(self, state: NeighboursState, key: str, ask: Recall) -> list[Out]:
        """The neighbours of an item that a user touched long ago; nothing of an unknown one."""
        self._add_heard(state, key)
        head = state.item.get(key) or ItemNeighbours()
        ids, rows = self._rows(head, state.content.get(key))
        told = Recalled(
            ask.time_ms, ask.event_id, ask.tenant, ask.user, ask.seq, ask.item, ask.strength,
            ask.place, join(ids), rows.tobytes(),
        )  # fmt: skip
        return [Out("ranking", scoped(ask.tenant, ask.user), told)] if ids else []

    def _rows(self, head: ItemNeighbours, content: ItemContent | None) -> tuple[list[str], Any]:
        """Ids and `packing.PULLED` records, as words, of the cached rows and of what is alike."""
        known, near = len(head.ids), len(content.ids) if content else 0
        rows = np.empty((known + near, PULLED.itemsize // 4), np.float32)
        kernels.answer_rows(
            head.cache, head.figures, known, head.total, *self._bounds.formula, rows
        )
        if content is None or not near:
            return head.ids, rows
        origin = np.empty(near, np.int64)
        count = kernels.add_alike(
            head.cache, known, content.sims, content.figures, self._settings.content_worth,
            rows, origin,
        )  # fmt: skip
        added = [content.ids[place] for place in origin[: count - known].tolist()]
        return head.ids + added, rows[:count]

    def _share(self, head: ItemNeighbours) -> float:
        """How much content counts among similar items, beside what people did with the item."""
        until = self._settings.content_until
        likes = head.total / STRENGTH_MAX
        return until / (likes + until) if until > 0 else 0.0

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


def _similar(scores: Any, known: int, size: int) -> list[int]:
    """Places of the best rows, and of the best by content alone: of these half as many more."""
    order = np.argsort(-scores, kind="stable")
    best: list[int] = order[:size].tolist()
    said = [place for place in order.tolist() if place >= known and place not in best]
    return best + said[: max(0, size // 2 - sum(place >= known for place in best))]


def _take_back(state: NeighboursState, key: str, message: PairSeen | SumTaken) -> None:
    """What an erasure says; the stored list must not outlive it."""
    head = state.item.get(key) or ItemNeighbours()
    if isinstance(message, SumTaken):
        head.sum -= message.decrease
    else:
        changes = (message.forward, message.backward, message.short)
        take_back(state.pair, key, head, message.other, changes)
    _keep(state, key, head)
    state.changed.put(key, (message.tenant, message.item, message.time_ms))


def _renew(state: NeighboursState, key: str, message: Grown) -> None:
    """Take over newer figures of an item that says the like; no stored list depends on them."""
    content = state.content.get(key)
    if content is not None and renew(content, message):
        state.content.put(key, content)


def _expire(state: NeighboursState, key: str, message: ItemExpired) -> None:
    """Forget an item with its pairs; what others have of theirs with it stays theirs."""
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
