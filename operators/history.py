"""Third stage, by user: turns an item into pairs with the items the user touched before.

Weights follow algorithm "item -> user -> item -> user" with co-ratings of TencentRec (SIGMOD
2015): a pair counts min(strength, strength) of its two ends, times 0.9 for each item between
them; all integers (times 100), so that the user's log, replayed with a negative sign, takes back
exactly what it added.

The log holds every admitted interaction in order, in chunks that are only appended to: an event
costs the same for a user of ten and of ten thousand. Only an erasure reads it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.kernels import NOWHERE, RUN_WORDS
from operators.messages import (
    Counted,
    Expired,
    Forget,
    Learn,
    PairSeen,
    Recall,
    Signal,
    SumTaken,
    order,
)
from operators.parameters import HistorySettings
from operators.stage import (
    COUNT,
    Codec,
    Out,
    StructCodec,
    Table,
    append,
    bucket_of,
    pair_key,
    scoped,
    settle_nothing,
)
from operators.waiting import WaitingPairs
from operators.window import (
    BUCKET,
    PAST_WORDS,
    HistoryCodec,
    UserHistory,
    rise,
    take_in,
)

LOG_CHUNK = 64
LOG_MAX = 50_000
"""Interactions logged of one user. Who does more is a robot: the rest teaches nothing, since what
is not logged could not be taken back."""


LogEntry = tuple[str, int]
"""Item and strength of one admitted interaction."""


@dataclass
class HistoryState:
    """Users, and their logs in chunks."""

    user: Table[UserHistory]
    log: Table[list[LogEntry]]


class History:
    """See the module."""

    name = "history"
    inputs = Counted | Forget | Expired
    codecs: Mapping[str, Codec[Any]] = {
        "user": HistoryCodec(),
        "log": StructCodec(list[LogEntry]),
    }
    state_type = HistoryState
    settle = staticmethod(settle_nothing)
    order = staticmethod(order)

    def __init__(self, settings: HistorySettings, buckets: int) -> None:
        self._window, self._buckets = settings.pair_window, buckets
        self._away_ms = settings.rebuild_after_ms
        weights = [
            (round(100 * settings.gap_decay**j), round(100 * settings.short_decay**j))
            for j in range(self._window)
        ]
        self._weights = np.array(weights, np.int64)
        self._waiting = WaitingPairs(self._window, buckets)
        self._earlier = np.empty((self._window, RUN_WORDS), np.uint32)
        self._places = np.empty(self._window, np.int64)

    def apply(self, state: HistoryState, batch: Sequence[Counted | Forget | Expired]) -> list[Out]:
        outs: list[Out] = []
        for message in batch:
            if isinstance(message, Expired):
                _expire(state, message)
                continue
            if isinstance(message, Forget):
                outs += self._forget(state, message)
                continue
            key = scoped(message.signal.tenant, message.signal.user)
            user = state.user.get(key) or UserHistory()
            if message.signal.seq <= user.erased_seq:
                outs.append(Out(COUNT, "after_erasure", 1))
                continue
            if user.logged >= LOG_MAX:
                outs += _without_pairs(message)
                continue
            if not _changes_nothing(user, message.signal):
                entry = (message.signal.item, message.signal.strength)
                _append_to_log(state, key, user, entry)
            returned = self._returns(user, message.time_ms)
            outs += _recalls(user, message) if returned else ()
            outs.append(self._learn(user, message, returned=returned))
            if self._waiting.full:
                outs += self._waiting.take()
            user.last_ms = max(user.last_ms, message.time_ms)
            state.user.put(key, user)
        return [*outs, *self._waiting.take()]

    def _returns(self, user: UserHistory, time_ms: int) -> bool:
        """Whether the user was away for so long that the items are to be recalled."""
        away_ms = time_ms - user.last_ms
        return bool(self._away_ms and user.last_ms and user.items) and away_ms >= self._away_ms

    def _learn(self, user: UserHistory, counted: Counted, *, returned: bool) -> Out:
        """What the item learns; what it tells the items before it waits."""
        signal, waiting = counted.signal, self._waiting
        key, at = scoped(signal.tenant, signal.item), self._open(user, signal)
        gone = user.leaves(at)
        pairs = take_in(
            user.past, len(user.items), at, gone, np.frombuffer(counted.figures, "<u4"),
            signal.strength, bucket_of(key, self._buckets), signal.old, self._weights,
            waiting.events, waiting.told, waiting.pairs, self._earlier, self._places,
        )  # fmt: skip
        if pairs == len(user.items):
            others, keys = user.items[::-1], user.keys[::-1]
        else:
            places = self._places[:pairs].tolist()
            others = [user.items[place] for place in places]
            keys = [user.keys[place] for place in places]
        waiting.add(counted, keys)
        user.put(signal.item, key, gone)
        increase, records = max(0, signal.strength - signal.old), self._earlier[:pairs].tobytes()
        learn = Learn(
            counted.time_ms, counted.event_id, counted, increase, [], returned, others, records
        )
        return Out("neighbours", key, learn)

    def _open(self, user: UserHistory, signal: Signal) -> int:
        """Make a user ready for one more item; the place of that item among those of before."""
        if len(user.past) < self._window:
            past = np.zeros((self._window, PAST_WORDS), np.uint32)
            past[: len(user.past)] = user.past
            user.past = past
        if len(user.keys) < len(user.items):
            user.keys = [scoped(signal.tenant, item) for item in user.items]
            user.past[: len(user.items), BUCKET] = [
                bucket_of(key, self._buckets) for key in user.keys
            ]
        return user.items.index(signal.item) if signal.item in user.items else NOWHERE

    def _forget(self, state: HistoryState, message: Forget) -> list[Out]:
        """Replay the log with a negative sign; keep only the number of the last message."""
        key = scoped(message.tenant, message.user)
        user = state.user.get(key) or UserHistory()
        sums: dict[str, int] = {}
        pairs: dict[tuple[str, str], tuple[int, int]] = {}
        self._replay(_read_log(state, key, user), sums, pairs)
        for number in range(-(-user.logged // LOG_CHUNK)):
            state.log.delete(pair_key(key, str(number)))
        state.user.put(key, UserHistory(erased_seq=message.seq))
        return [*_take_sums(message, sums), *_take_pairs(message, pairs)]

    def _replay(
        self,
        log: Iterable[LogEntry],
        sums: dict[str, int],
        pairs: dict[tuple[str, str], tuple[int, int]],
    ) -> None:
        """Add up what a log has added: strengths by item, (weight, short) by (later, earlier)."""
        weights = self._weights.tolist()
        past: list[str] = []
        strengths: dict[str, int] = {}
        for item, strength in log:
            old = strengths.get(item, 0)
            for other, (weight, short) in zip(reversed(past), weights, strict=False):
                shared = 0 if other == item else rise(strength, old, strengths[other])
                if shared > 0:
                    known = pairs.get((item, other), (0, 0))
                    pairs[item, other] = known[0] + shared * weight, known[1] + shared * short
            strengths[item] = max(old, strength)
            sums[item] = sums.get(item, 0) + strengths[item] - old
            if item in past:
                past.remove(item)
            past.append(item)
            del past[: -self._window]


def _without_pairs(counted: Counted) -> list[Out]:
    """Ask for the neighbours of an item and teach them nothing."""
    learn = Learn(counted.time_ms, counted.event_id, counted, 0, [])
    to = scoped(counted.signal.tenant, counted.signal.item)
    return [Out("neighbours", to, learn), Out(COUNT, "heavy_users", 1)]


def _recalls(user: UserHistory, counted: Counted) -> list[Out]:
    """Ask for the neighbours of the last items but the one that is touched now, newest first.

    The ids sort before all others of the moment: the answers come before the event itself.
    """
    signal = counted.signal
    past = reversed(user.strengths.items())
    others = [(item, strength) for item, strength in past if item != signal.item]
    return [
        Out(
            "neighbours",
            scoped(signal.tenant, item),
            Recall(
                counted.time_ms, f"\x00{counted.event_id}@{place}", signal.tenant, signal.user,
                signal.seq, item, strength, place,
            ),
        )
        for place, (item, strength) in enumerate(others)
    ]  # fmt: skip


def _expire(state: HistoryState, message: Expired) -> None:
    """Forget a user and the log; what was learned stays."""
    key = scoped(message.tenant, message.user)
    user = state.user.get(key)
    if user is None:
        return
    for number in range(-(-user.logged // LOG_CHUNK)):
        state.log.delete(pair_key(key, str(number)))
    state.user.delete(key)


def _changes_nothing(user: UserHistory, signal: Signal) -> bool:
    """A repeat of the newest item moves no pair and no place: the log may do without it."""
    return (
        signal.strength <= signal.old
        and bool(user.items)
        and user.items[-1] == signal.item
    )  # fmt: skip


def _append_to_log(state: HistoryState, key: str, user: UserHistory, entry: LogEntry) -> None:
    append(state.log, pair_key(key, str(user.logged // LOG_CHUNK)), entry)
    user.logged += 1


def _read_log(state: HistoryState, key: str, user: UserHistory) -> Iterator[LogEntry]:
    for number in range(-(-user.logged // LOG_CHUNK)):
        yield from state.log.get(pair_key(key, str(number))) or []


def _take_sums(message: Forget, sums: Mapping[str, int]) -> Iterator[Out]:
    for item, decrease in sums.items():
        taken = SumTaken(message.time_ms, message.event_id, message.tenant, item, decrease)
        yield Out("neighbours", scoped(message.tenant, item), taken)


def _take_pairs(message: Forget, pairs: Mapping[tuple[str, str], tuple[int, int]]) -> Iterator[Out]:
    """Both sides of each pair: `later` came after `earlier`."""
    for number, ((later, earlier), (weight, short)) in enumerate(pairs.items()):
        for item, other, changes in (
            (earlier, later, (-weight, 0, -short)),
            (later, earlier, (0, -weight, 0)),
        ):
            seen = PairSeen(
                message.time_ms, f"{message.event_id}#{number}", message.tenant, item, other,
                *changes, 1.0, b"",
            )  # fmt: skip
            yield Out("neighbours", scoped(message.tenant, item), seen)
