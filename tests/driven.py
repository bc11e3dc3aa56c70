"""One stage alone, and the messages it gets, with every boring field filled in."""

import copy
import struct
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from operators.events import NEGATIVE_ACTIONS
from operators.id_list import join
from operators.messages import (
    SOURCES,
    About,
    Counted,
    Featured,
    Forget,
    Learn,
    Near,
    Noted,
    PairSeen,
    PairsSeen,
    PopularList,
    Pulled,
    Said,
    Signal,
    UserChanged,
)
from operators.packing import EPOCH_MS, NEVER_LOG2, item_key, pack_figures
from operators.results import ListRow
from operators.stage import DictTable, Out
from tests.graph import PlainTable, new_state

TENANT = "default"
Row = tuple[str, float, float, bytes]
"""A neighbour: item, similarity, short similarity, figures."""

_numbers = count()


def plain(_codec: Any) -> PlainTable:
    """A table that keeps the very objects it is given, as the cache of a job does."""
    return PlainTable()


class Driven:
    """A stage with a state of its own; batches are sorted as in a job."""

    def __init__(self, stage: Any, table: Any = DictTable) -> None:
        self.stage = stage
        self.state = new_state(stage, table)

    def send(self, *batch: Any) -> list[Out]:
        return self.stage.apply(self.state, sorted(batch, key=self.stage.order))

    def settle(self) -> list[Out]:
        return self.stage.settle(self.state)

    def data(self) -> dict[str, dict[str, bytes]]:
        """The bytes of all tables."""
        return {name: dict(table.data) for name, table in vars(self.state).items()}

    def twin(self) -> "Driven":
        """The same stage on a copy of the state."""
        twin = copy.copy(self)
        twin.state = new_state(self.stage)
        for name, table in vars(self.state).items():
            if isinstance(table, PlainTable):
                setattr(twin.state, name, copy.deepcopy(table))
            else:
                getattr(twin.state, name).data.update(table.data)
        return twin

    def mentions(self, text: str) -> bool:
        """Whether any key or value of the state holds this text."""
        return any(
            text in key or text.encode() in value
            for table in self.data().values()
            for key, value in table.items()
        )


class Ranked(Driven):
    """The ranking: `lists` holds the last list of each user, messages are numbered by user."""

    def __init__(self, stage: Any, table: Any = DictTable) -> None:
        super().__init__(stage, table)
        self.lists: dict[str, ListRow] = {}
        self._seq: dict[str, int] = {}
        self._touched: set[tuple[str, str]] = set()

    def send(self, *batch: Any) -> list[Out]:
        outs = super().send(*batch)
        for row in sent(outs, "rows"):
            if isinstance(row, ListRow):
                self.lists[row.user] = row
        return outs

    def seq(self, user: str) -> int:
        """The next number of a user's messages."""
        self._seq[user] = self._seq.get(user, 0) + 1
        return self._seq[user]

    def answer(self, user: str, item: str, *rows: Row, **fields: Any) -> Pulled:
        """The answer of the neighbours of an item that a user has touched."""
        first = (user, item) not in self._touched
        self._touched.add((user, item))
        categories = fields.get("categories", ())
        one = signal(
            user, item, fields.get("at_ms", 1000), fields.get("strength", 10), first=first,
            liked=fields.get("liked", first), seq=self.seq(user),
            action=fields.get("action", "like"),
        )  # fmt: skip
        figured = figures(item, categories=categories)
        category = categories[0] if categories else ""
        return pulled(counted(one, figured, category), *rows)

    def touch(self, user: str, item: str, *rows: Row, **fields: Any) -> list[Out]:
        return self.send(self.answer(user, item, *rows, **fields))

    def scores(self, user: str) -> dict[str, float]:
        """Score by item of the user's last list, best first."""
        row = self.lists[user]
        return dict(zip(row.ids, np.frombuffer(row.scores, "<f4").tolist(), strict=True))

    def item_scores(self, user: str) -> dict[str, float]:
        row = self.lists[user]
        return dict(zip(row.ids, np.frombuffer(row.item_scores, "<f4").tolist(), strict=True))

    def sources(self, user: str) -> list[str]:
        """Source of each item of the user's last list."""
        return [SOURCES[place] for place in self.lists[user].sources]


def sent(outs: Sequence[Out], to: str) -> list[Any]:
    """Messages of one channel."""
    return [out.message for out in outs if out.to == to]


def counts(outs: Sequence[Out]) -> dict[str, int]:
    """What was counted, by name."""
    total: dict[str, int] = {}
    for out in outs:
        if out.to == "count":
            total[out.key] = total.get(out.key, 0) + out.message
    return total


def new_id() -> str:
    return f"m{next(_numbers):07d}"


def figures(
    item: str,
    raw: int = 0,
    likes: int = 0,
    users: int = 0,
    likes_1d: float = NEVER_LOG2,
    likes_30d: float = NEVER_LOG2,
    first_ms: int = EPOCH_MS,
    categories: Sequence[str] = (),
) -> bytes:
    return pack_figures(
        item_key(item), (raw, likes, users), (likes_1d, likes_30d), first_ms, list(categories)
    )


def signal(user: str, item: str, at_ms: int = 1000, strength: int = 10, **fields: Any) -> Signal:
    """A first like unless said."""
    old = fields.get("old", 0)
    return Signal(
        at_ms, fields.get("event_id") or new_id(), fields.get("tenant", TENANT), user,
        fields.get("seq", 1), item, fields.get("action", "like"), strength, old,
        fields.get("first", old == 0), fields.get("liked", old == 0), fields.get("segment", ""),
    )  # fmt: skip


def counted(one: Signal, figured: bytes | None = None, category: str = "") -> Counted:
    packed = figures(one.item, raw=max(one.strength, one.old)) if figured is None else figured
    return Counted(one.time_ms, one.event_id, one, packed, f"Title {one.item}", category)


def learn(one: Counted, increase: int, *pairs: tuple[str, int, int, bytes]) -> Learn:
    return Learn(one.time_ms, one.event_id, one, increase, list(pairs))


def pairs_of(seen: PairsSeen) -> list[PairSeen]:
    """The pairs of a message one by one, in the form of earlier releases."""
    events, pairs = np.frombuffer(seen.events, "<u4").tolist(), []
    assert len(seen.records) == 60 * len(seen.keys)
    for place, (key, event) in enumerate(zip(seen.keys, events, strict=True)):
        tenant, item = key.split("\x1f")
        record = seen.records[60 * place : 60 * place + 60]
        changes = struct.unpack("<3if", record[44:])
        moment = seen.times_ms[event], seen.event_ids[event]
        pairs.append(PairSeen(*moment, tenant, item, seen.others[event], *changes, record[:44]))
    return pairs


def earlier_of(told: Learn) -> list[tuple[str, int, bytes]]:
    """(other item, weight, figures of the other) of the pairs that an item learns."""
    records = [told.records[60 * place : 60 * place + 60] for place in range(len(told.others))]
    changes = [struct.unpack("<3if", record[44:]) for record in records]
    assert len(told.records) == 60 * len(told.others)
    assert not any(forward or short for forward, _, short, _ in changes)
    return [(other, weight, record[:44]) for other, record, (_, weight, _, _)
            in zip(told.others, records, changes, strict=True)]  # fmt: skip


def pair_seen(
    item: str,
    other: str,
    forward: int = 0,
    backward: int = 0,
    short: int = 0,
    ratio: float = 1.0,
    figured: bytes | None = None,
    at_ms: int = 1000,
) -> PairSeen:
    packed = figures(other) if figured is None else figured
    return PairSeen(at_ms, new_id(), TENANT, item, other, forward, backward, short, ratio, packed)


def featured(
    item: str,
    about: About | None,
    near: Sequence[tuple[str, float]],
    at_ms: int = 1000,
    tenant: str = TENANT,
) -> Featured:
    return Featured(at_ms, f"\x01{item}", tenant, item, about, list(near))


def near_to(item: str, other: str, similarity: float, **fields: Any) -> Near:
    """`other` is like `item`, by the record of `item` unless said."""
    packed = fields.get("figured") or figures(other)
    at_ms, own = fields.get("at_ms", 1000), fields.get("own", True)
    return Near(at_ms, new_id(), TENANT, item, other, similarity, own, packed)


def forget(user: str, at_ms: int, seq: int, tenant: str = TENANT) -> Forget:
    return Forget(at_ms, new_id(), tenant, user, seq)


def noted(user: str, item: str, at_ms: int, action: str = "dislike", seq: int = 1) -> Noted:
    negative = action in NEGATIVE_ACTIONS
    return Noted(at_ms, new_id(), TENANT, user, seq, action, item, item_key(item), negative)


def said(user: str, at_ms: int, seq: int, **fields: Any) -> Said:
    """What a text of a user says."""
    return Said(
        at_ms, new_id(), TENANT, user, seq, fields.get("action", "comment"),
        fields.get("item", ""), fields.get("sentiment", 0.0), fields.get("emotions", {}),
        fields.get("tags", []), fields.get("model", ""), fields.get("code", b""),
    )  # fmt: skip


def user_changed(user: str, at_ms: int, seq: int, **fields: Any) -> UserChanged:
    return UserChanged(
        at_ms, new_id(), TENANT, user, seq, fields.get("personalise", True),
        fields.get("blocked", []),
    )  # fmt: skip


def near(item: str, sim: float, short: float = 0.0, content: float = 0.0, **fields: Any) -> Row:
    """A neighbour; fields are those of its figures."""
    return item, sim, short, figures(item, **{**fields, "raw": content})


def pulled(one: Counted, *rows: Row) -> Pulled:
    packed = b"".join(
        np.array([sim, short], "<f4").tobytes() + data for _, sim, short, data in rows
    )
    return Pulled(one.time_ms, one.event_id, one, join([row[0] for row in rows]), packed)


def popular_list(name: str, *items: tuple[str, bytes], at_ms: int = 0) -> PopularList:
    return PopularList(
        at_ms, "", TENANT, name, [item for item, _ in items], b"".join(data for _, data in items)
    )
