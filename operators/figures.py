"""Second stage, by item: how popular an item is, and what the catalogue says of it.

Attaches the item's figures of the moment to every signal, so that the stages behind need no
second visit to the item; see `item_figures` for what they are.

What is alike in content hears of an item's figures when it meets it, and again each time twice as
many have touched the item: a few messages in its life, where one an event would cost twenty.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators import expiry
from operators.expiry import Wheel
from operators.item_figures import FRESH, ItemFigures, count, list_scores, packed, withdraw
from operators.leaders import Offers
from operators.messages import (
    Availability,
    Counted,
    Described,
    Grown,
    ItemExpired,
    Leader,
    Listed,
    Meeting,
    Near,
    Signal,
    Withdrawn,
    order,
)
from operators.packing import item_key
from operators.parameters import FiguresSettings
from operators.results import ItemRow
from operators.stage import (
    BROADCAST,
    COUNT,
    Codec,
    Out,
    StructCodec,
    Table,
    pair_key,
    scoped,
    settle_nothing,
)

ALIKE_MAX = 40
"""Items that hear of an item's figures again, the last ones to name it or to be named by it."""
STALE_MARGIN_MS = 32 * 86_400_000
"""So many half-lives of a day are more than any number of likes makes up for: 2^32."""


@dataclass
class FiguresState:
    """Items; and for each tenant and shared list the best items of this bucket with their score.

    `due` and `wheel` say which items are to be forgotten when, see `expiry`; `alike` which items
    hold an item as one that says the like: 1 by their own record, 2 by that of the item, 3 by both.
    """

    item: Table[ItemFigures]
    leaders: Table[dict[str, float]]
    due: Table[list[str]]
    wheel: Table[Wheel]
    alike: Table[dict[str, int]]


class Figures:
    """See the module."""

    name = "figures"
    inputs = Signal | Withdrawn | Listed | Described | Meeting
    codecs: Mapping[str, Codec[Any]] = {
        "item": StructCodec(ItemFigures),
        "leaders": StructCodec(dict[str, float]),
        "due": StructCodec(list[str]),
        "wheel": StructCodec(Wheel),
        "alike": StructCodec(dict[str, int]),
    }
    state_type = FiguresState
    settle = staticmethod(settle_nothing)
    order = staticmethod(order)

    def __init__(self, settings: FiguresSettings) -> None:
        self._settings = settings

    def apply(
        self,
        state: FiguresState,
        batch: Sequence[Signal | Withdrawn | Listed | Described | Meeting],
    ) -> list[Out]:
        outs: list[Out] = []
        touched: dict[str, Signal | Withdrawn | Listed] = {}
        wheel = state.wheel.get("") or Wheel()
        for message in batch:
            if expiry.advance(wheel, message.time_ms):
                for name, expired in self._expire(state, wheel, message):
                    touched.pop(name, None)
                    outs += expired
            key = scoped(message.tenant, message.item)
            known = state.item.get(key)
            figures = known or ItemFigures()
            if isinstance(message, Signal):
                count(figures, message)
                outs.append(_counted(figures, message))
                outs += _grown(state, key, figures, message)
            elif isinstance(message, Withdrawn):
                if known is None:
                    outs.append(Out(COUNT, "withdrawn_too_late", 1))
                    continue
                withdraw(figures, message)
                if message.segment not in figures.segments:
                    _leave(state, message.tenant, message.item, f"segment:{message.segment}")
            elif isinstance(message, Listed):
                _leave_categories(state, figures, message)
                outs += _list(figures, message)
            else:
                outs.append(_attached(state, figures, message))
                continue
            figures.last_ms = max(figures.last_ms, message.time_ms)
            expiry.keep(state, wheel, key, figures, message.time_ms, self._settings.item_idle_ms)
            state.item.put(key, figures)
            touched[key] = message
        offers = Offers(state.leaders, self._settings.leaders)
        for key, message in touched.items():
            outs += self._lead(state, key, message, offers)
        return outs

    def _expire(
        self,
        state: FiguresState,
        wheel: Wheel,
        message: Signal | Withdrawn | Listed | Described | Meeting,
    ) -> Iterator[tuple[str, list[Out]]]:
        """Forget the next items whose time has come; key and answers of each."""
        due = expiry.overdue(state.due, wheel)
        state.wheel.put("", wheel)
        for number, (key, at_ms) in enumerate(due):
            figures = state.item.get(key)
            if figures is None or figures.due_ms != at_ms:
                continue
            if figures.listed_ms >= 0 and not figures.deleted:
                expiry.keep(state, wheel, key, figures, wheel.now_ms, self._settings.item_idle_ms)
                state.item.put(key, figures)
                continue
            if figures.deleted and wheel.now_ms < figures.last_ms + 2 * STALE_MARGIN_MS:
                expiry.keep(state, wheel, key, figures, figures.last_ms, 2 * STALE_MARGIN_MS)
                state.item.put(key, figures)
                continue
            # Sorts before all messages of that moment: the item may come back with this very one.
            event_id = f"\x00{message.event_id}#{number}"
            yield key, _forgotten(state, key, figures, message.time_ms, event_id)

    def _lead(
        self, state: FiguresState, key: str, message: Signal | Withdrawn | Listed, offers: Offers
    ) -> list[Out]:
        """Offer an item to the shared lists it belongs to; report it if it stands in one."""
        figures = state.item.get(key)
        assert figures is not None
        item, listed = message.item, figures.available and figures.likes > 0
        fresh = self._fresh(figures)
        scores = list_scores(figures)
        offered: dict[str, float | None] = {**scores} if listed else dict.fromkeys(scores)
        offered[FRESH] = fresh
        known, lists = False, pair_key(message.tenant, "")
        for name, score in offered.items():
            known |= offers.offer(lists + name, item, score)
        if not known:
            return []
        leader = Leader(
            message.time_ms, message.event_id, message.tenant, item, figures.title or item,
            packed(item, figures), figures.categories, figures.likes_log2, figures.segments, listed,
            fresh,
        )  # fmt: skip
        return [Out("popular", message.tenant, leader)]

    def _fresh(self, figures: ItemFigures) -> float | None:
        """When an item came that few have touched yet; None for the others."""
        known = figures.listed_ms >= 0 and figures.first_ms is not None
        if not (known and figures.available and figures.users < self._settings.fresh_users):
            return None
        return float(figures.first_ms or 0)


def _forgotten(
    state: FiguresState, key: str, figures: ItemFigures, time_ms: int, event_id: str
) -> list[Out]:
    """Take an item off the shared lists, and tell its neighbours."""
    tenant, _, item = key.partition("\x1f")
    stood = [name for name in (*list_scores(figures), FRESH) if _leave(state, tenant, item, name)]
    state.item.delete(key)
    state.alike.delete(key)
    outs = [
        Out("neighbours", key, ItemExpired(time_ms, event_id, tenant, item)),
        Out(COUNT, "expired_items", 1),
    ]
    if stood:
        leader = Leader(
            time_ms, event_id, tenant, item, figures.title or item, packed(item, figures),
            figures.categories, figures.likes_log2, figures.segments, False,
        )  # fmt: skip
        outs.append(Out("popular", tenant, leader))
    if figures.deleted:
        # A state of before has no last time: there the time it fell due is late enough.
        last_ms = figures.last_ms if figures.last_ms >= 0 else figures.due_ms
        told = Availability(
            time_ms, event_id, tenant, item, item_key(item), False, last_ms + STALE_MARGIN_MS
        )
        outs.append(Out("ranking", BROADCAST, told))
    return outs


def _leave_categories(state: FiguresState, figures: ItemFigures, record: Listed) -> None:
    """Take an item off the lists of categories that its new record no longer names."""
    for category in set(figures.categories) - set(record.categories):
        _leave(state, record.tenant, record.item, f"category:{category}")


def _leave(state: FiguresState, tenant: str, item: str, name: str) -> bool:
    """Take an item off a list; whether it stood there. A list of nothing is not kept."""
    table_key = pair_key(tenant, name)
    leaders = state.leaders.get(table_key) or {}
    if leaders.pop(item, None) is None:
        return False
    if leaders:
        state.leaders.put(table_key, leaders)
    else:
        state.leaders.delete(table_key)
    return True


def _list(figures: ItemFigures, record: Listed) -> list[Out]:
    """Take over a catalogue record unless a newer one is known."""
    if record.time_ms < figures.listed_ms:
        return []
    available = record.available and not record.deleted
    if figures.listed_ms < 0 and not record.deleted:
        figures.first_ms = record.time_ms
    changed = available != figures.available
    figures.listed_ms, figures.available = record.time_ms, available
    figures.deleted = record.deleted
    figures.title, figures.categories = record.title, record.categories
    row = ItemRow(
        1000 * record.time_ms, record.tenant, record.item, record.title, available, record.deleted
    )
    outs = [Out("rows", scoped(record.tenant, record.item), row)]
    if changed:
        message = Availability(
            record.time_ms, record.event_id, record.tenant, record.item,
            item_key(record.item), available,
        )  # fmt: skip
        outs.append(Out("ranking", BROADCAST, message))
    return outs


def _attached(state: FiguresState, figures: ItemFigures, message: Described | Meeting) -> Out:
    """What content says of two items, with what is known here of the one."""
    when = message.time_ms, message.event_id, message.tenant
    if isinstance(message, Described):
        title = figures.title or message.item
        described = Described(*when, message.item, title, message.about)
        return Out("neighbours", scoped(message.tenant, message.item), described)
    _note_alike(state, message)
    told = packed(message.item, figures)
    near = Near(*when, message.other, message.item, message.similarity, message.own, told)
    return Out("neighbours", scoped(message.tenant, message.other), near)


def _note_alike(state: FiguresState, message: Meeting) -> None:
    """Keep who holds the item as alike; of more than `ALIKE_MAX` the first ones are let go."""
    key, side = scoped(message.tenant, message.item), 1 if message.own else 2
    alike = state.alike.get(key) or {}
    sides = alike.pop(message.other, 0)
    sides = sides | side if message.similarity > 0 else sides & ~side
    if sides:
        alike[message.other] = sides
    for one in list(alike)[:-ALIKE_MAX]:
        del alike[one]
    if alike:
        state.alike.put(key, alike)
    else:
        state.alike.delete(key)


def _grown(state: FiguresState, key: str, figures: ItemFigures, signal: Signal) -> Iterator[Out]:
    """If twice as many have touched an item: its figures, for those that hold it as alike."""
    if not signal.first or figures.users & (figures.users - 1):
        return
    alike = state.alike.get(key) or {}
    told = packed(signal.item, figures)
    for one in alike:
        event_id = f"{signal.event_id}\x00{one}"
        grown = Grown(signal.time_ms, event_id, signal.tenant, one, signal.item, told)
        yield Out("neighbours", scoped(signal.tenant, one), grown)


def _counted(figures: ItemFigures, signal: Signal) -> Out:
    category = figures.categories[0] if figures.categories else ""
    counted = Counted(
        signal.time_ms, signal.event_id, signal, packed(signal.item, figures),
        figures.title or signal.item, category,
    )  # fmt: skip
    return Out("history", scoped(signal.tenant, signal.user), counted)
