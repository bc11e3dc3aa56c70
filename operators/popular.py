"""The lists everybody shares, most liked first.

Of all time, of an hour, a day, a month, by category and by segment. One key a tenant; fed only
with what leads a bucket of `figures`, so it sees a small part of the stream.

Every change goes to the ranking, as candidates and as the measure of popularity, and to the table
`trending`, from which a reader refreshes stored lists and serves users without one. The row `all`
merges the four general lists by reciprocal rank (Cormack et al., SIGIR 2009).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import Struct

from operators.features import (
    ITEM_FEATURES,
    Reference,
    Weights,
    item_features,
    outside_part,
)
from operators.figures import ALL_TIME, WINDOW_NAMES, list_scores
from operators.messages import Leader, PopularList, TrendingRow, order
from operators.packing import FIGURES, POPULARITY, words
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
ALL = "all"
RANK_OFFSET = 60
REASONS = {
    ALL: "Popular right now",
    ALL_TIME: "One of the most popular of all time",
    "1h": "Popular in the last hour",
    "1d": "Popular today",
    "30d": "Popular this month",
}


class PopularSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the stage.

    Attributes:
        list_max: Items of a shared list; twice as many are kept, so that one that leaves has a
            successor.
    """

    list_max: int = 20


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

    def __init__(self, settings: PopularSettings, weights: Weights, rows_max: int) -> None:
        self._settings = settings
        self._item_weights = weights.of(ITEM_FEATURES)
        self._outside = outside_part(weights, rows_max)

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
        outs += [self._publish_all(state, tenant, time_ms) for tenant, time_ms in newest.items()]
        return outs

    def _place(self, state: PopularState, leader: Leader) -> list[str]:
        """Put an item into its lists and take it off the others; the lists that changed."""
        key = scoped(leader.tenant, leader.item)
        before = state.item.get(key)
        scores = list_scores(leader) if leader.listed else {}
        names = dict.fromkeys([*(list_scores(before) if before else ()), *scores])
        changed = [
            name
            for name in names
            if self._move(state, leader.tenant, name, leader.item, scores.get(name))
        ]
        if any(leader.item in self._members(state, leader.tenant, name) for name in scores):
            state.item.put(key, leader)
        else:
            state.item.delete(key)
        return changed

    def _move(
        self, state: PopularState, tenant: str, name: str, item: str, score: float | None
    ) -> bool:
        members = self._members(state, tenant, name)
        had = members.pop(item, None)
        if score is not None:
            members[item] = score
        ordered = sorted(members.items(), key=lambda member: (-member[1], member[0]))
        kept = dict(ordered[: 2 * self._settings.list_max])
        state.members.put(pair_key(tenant, name), kept)
        for left, _ in ordered[len(kept) :]:
            if left != item:
                self._forget_unlisted(state, tenant, left)
        return had is not None or item in kept

    def _forget_unlisted(self, state: PopularState, tenant: str, item: str) -> None:
        leader = state.item.get(scoped(tenant, item))
        names = list_scores(leader) if leader else {}
        if not any(item in self._members(state, tenant, name) for name in names):
            state.item.delete(scoped(tenant, item))

    def _members(self, state: PopularState, tenant: str, name: str) -> dict[str, float]:
        return state.members.get(pair_key(tenant, name)) or {}

    def _leaders(self, state: PopularState, tenant: str, name: str) -> list[Leader]:
        best = list(self._members(state, tenant, name))[: self._settings.list_max]
        return _known(state, tenant, best)

    def _publish(self, state: PopularState, tenant: str, name: str, time_ms: int) -> list[Out]:
        leaders = self._leaders(state, tenant, name)
        ids = [leader.item for leader in leaders]
        packed = b"".join(leader.figures for leader in leaders)
        shared = PopularList(time_ms, "", tenant, name, ids, packed)
        row = self._trending(state, tenant, name, leaders, time_ms)
        return [Out("ranking", BROADCAST, shared), Out("rows", scoped(tenant, name), row)]

    def _publish_all(self, state: PopularState, tenant: str, time_ms: int) -> Out:
        merged: dict[str, float] = {}
        for name in GENERAL:
            for place, leader in enumerate(self._leaders(state, tenant, name)):
                merged[leader.item] = merged.get(leader.item, 0.0) + 1 / (RANK_OFFSET + place)
        best = sorted(merged, key=lambda item: (-merged[item], item))
        leaders = _known(state, tenant, best)
        row = self._trending(state, tenant, ALL, leaders, time_ms)
        return Out("rows", scoped(tenant, ALL), row)

    def _trending(
        self,
        state: PopularState,
        tenant: str,
        name: str,
        leaders: Sequence[Leader],
        time_ms: int,
    ) -> TrendingRow:
        packed = b"".join(leader.figures for leader in leaders)
        popularity = words(packed, FIGURES)[:, POPULARITY].astype(np.float64)
        now_ms = np.array(time_ms, np.float64)
        columns = item_features(popularity, self._reference(state, tenant), now_ms)
        parts = columns @ self._item_weights
        key = pair_key(tenant, name)
        written_us = tick(state.clock_us.get(key) or 0, time_ms)
        state.clock_us.put(key, written_us)
        return TrendingRow(
            written_us, tenant, name, [leader.item for leader in leaders],
            (parts + self._outside).astype("<f4").tobytes(), parts.astype("<f4").tobytes(),
            _reason(name),
        )  # fmt: skip

    def _reference(self, state: PopularState, tenant: str) -> Reference:
        best = {name: next(iter(self._members(state, tenant, name).values()), None)
                for name in GENERAL}  # fmt: skip
        return Reference(
            int(best[ALL_TIME] or 0),
            best["1d"] if best["1d"] is not None else Reference().likes_1d,
            best["30d"] if best["30d"] is not None else Reference().likes_30d,
        )


def _known(state: PopularState, tenant: str, items: Iterable[str]) -> list[Leader]:
    leaders = (state.item.get(scoped(tenant, item)) for item in items)
    return [leader for leader in leaders if leader is not None]


def _reason(name: str) -> str:
    kind, _, value = name.partition(":")
    if kind == "category":
        return f"Popular in {value}"
    return f"Popular in your region ({value})" if kind == "segment" else REASONS[name]
