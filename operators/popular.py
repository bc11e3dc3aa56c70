"""The lists everybody shares, most liked first.

Of all time, of an hour, a day, a month, by category and by segment. One key a tenant; fed only
with what leads a bucket of `figures`, so it sees a small part of the stream.

Every change goes to the ranking, as candidates and as the measure of popularity. There, where the
weights are known, it becomes a row of the table `trending`, from which a reader refreshes stored
lists and serves users without one. The list `all` merges the four general lists by reciprocal rank
(Cormack et al., SIGIR 2009).
"""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.item_figures import ALL_TIME, WINDOW_NAMES, scores_of
from operators.messages import Leader, PopularList, RowDue, order
from operators.parameters import PopularSettings
from operators.results import ALL
from operators.stage import (
    BROADCAST,
    Codec,
    Out,
    StructCodec,
    Table,
    pair_key,
    scoped,
    settle_nothing,
    tick,
)

GENERAL = (ALL_TIME, *WINDOW_NAMES)
RANK_OFFSET = 60


@dataclass
class PopularState:
    """Leaders by tenant and item; members of each list with their score; write time by list."""

    item: Table[Leader]
    members: Table[dict[str, float]]
    clock_us: Table[int]


class Popular:
    """See the module."""

    name = "popular"
    inputs = Leader
    codecs: Mapping[str, Codec[Any]] = {
        "item": StructCodec(Leader),
        "members": StructCodec(dict[str, float]),
        "clock_us": StructCodec(int),
    }
    state_type = PopularState
    settle = staticmethod(settle_nothing)
    order = staticmethod(order)

    def __init__(self, settings: PopularSettings) -> None:
        self._settings = settings

    def apply(self, state: PopularState, batch: Sequence[Leader]) -> list[Out]:
        changed: dict[tuple[str, str], Leader] = {}
        for leader in batch:
            for name in self._place(state, leader):
                changed[leader.tenant, name] = leader
        outs: list[Out] = []
        for (tenant, name), leader in changed.items():
            outs += self._publish(state, tenant, name, leader.time_ms)
        newest = {tenant: leader.time_ms for (tenant, name), leader in changed.items()
                  if name in GENERAL}  # fmt: skip
        for tenant, time_ms in newest.items():
            outs += self._publish_all(state, tenant, time_ms)
        return outs

    def _place(self, state: PopularState, leader: Leader) -> list[str]:
        """Put an item into its lists and take it off the others; the lists that changed."""
        key = scoped(leader.tenant, leader.item)
        before = state.item.get(key)
        scores = scores_of(leader)
        names = dict.fromkeys([*(scores_of(before) if before else ()), *scores])
        changed, listed = [], False
        for name in names:
            stood, stands = self._move(state, leader.tenant, name, leader.item, scores.get(name))
            listed = listed or stands
            if stood or stands:
                changed.append(name)
        if listed:
            state.item.put(key, leader)
        else:
            state.item.delete(key)
        return changed

    def _move(
        self, state: PopularState, tenant: str, name: str, item: str, score: float | None
    ) -> tuple[bool, bool]:
        """Put, move or (score None) remove an item; whether it stood in the list, and stands now.

        The members are kept in order, best first.
        """
        members, size = self._members(state, tenant, name), 2 * self._settings.list_max
        stood = members.pop(item, None) is not None
        names = list(members)
        if score is not None:
            if not stood and len(members) == size > 0 and _is_behind(members, item, score):
                return False, False
            members[item] = score
            insort(names, item, key=lambda one: (-members[one], one))
        kept = {one: members[one] for one in names[:size]}
        state.members.put(pair_key(tenant, name), kept)
        for left in names[size:]:
            if left != item:
                self._forget_unlisted(state, tenant, left)
        return stood, item in kept

    def _forget_unlisted(self, state: PopularState, tenant: str, item: str) -> None:
        leader = state.item.get(scoped(tenant, item))
        names = scores_of(leader) if leader else {}
        if not any(item in self._members(state, tenant, name) for name in names):
            state.item.delete(scoped(tenant, item))

    def _members(self, state: PopularState, tenant: str, name: str) -> dict[str, float]:
        return state.members.get(pair_key(tenant, name)) or {}

    def _leaders(self, state: PopularState, tenant: str, name: str) -> list[Leader]:
        best = list(self._members(state, tenant, name))[: self._settings.list_max]
        return _known(state, tenant, best)

    def _publish(self, state: PopularState, tenant: str, name: str, time_ms: int) -> list[Out]:
        return self._said(state, tenant, name, self._leaders(state, tenant, name), time_ms)

    def _publish_all(self, state: PopularState, tenant: str, time_ms: int) -> list[Out]:
        merged: dict[str, float] = {}
        for name in GENERAL:
            for place, leader in enumerate(self._leaders(state, tenant, name)):
                merged[leader.item] = merged.get(leader.item, 0.0) + 1 / (RANK_OFFSET + place)
        best = sorted(merged, key=lambda item: (-merged[item], item))
        return self._said(state, tenant, ALL, _known(state, tenant, best), time_ms)

    def _said(
        self, state: PopularState, tenant: str, name: str, leaders: Sequence[Leader], time_ms: int
    ) -> list[Out]:
        """The list for all buckets of the ranking, and word to one of them to write its row."""
        ids = [leader.item for leader in leaders]
        rows = b"".join([leader.figures for leader in leaders])
        told = [Out("ranking", BROADCAST, PopularList(time_ms, "", tenant, name, ids, rows))]
        if not self._settings.rows:
            return told
        key = pair_key(tenant, name)
        written_us = tick(state.clock_us.get(key) or 0, time_ms)
        state.clock_us.put(key, written_us)
        due = RowDue(written_us, time_ms, "", tenant, name)
        return [*told, Out("ranking", scoped(tenant, name), due)]


def _is_behind(members: dict[str, float], item: str, score: float) -> bool:
    """Whether an item comes after all members, which are in order."""
    last = next(reversed(members))
    return (-score, item) > (-members[last], last)


def _known(state: PopularState, tenant: str, items: Iterable[str]) -> list[Leader]:
    get = state.item.get
    leaders = [get(scoped(tenant, item)) for item in items]
    return [leader for leader in leaders if leader is not None]
