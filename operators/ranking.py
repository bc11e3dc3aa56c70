"""Fifth stage, by user: accumulates candidates, scores them, and writes the list with its reasons.

Each answer of a neighbour stage is added to the user's candidate rows, which fade with every own
event (0.9, the fast ones 0.6): the list is about what the user does now, and costs the same after
ten events and after ten thousand. `scoring` turns rows and shared lists into the best ones.

200 rows are kept a user, not the 300 of the simulation: it measured .1237 against .1245 hits
without and .1665 against .1664 with learned weights, and a third of the state is saved.

Interest clusters will group the rows here; learned weights arrive as shared messages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.accumulator import (
    RankedUser,
    UserCodec,
    absorb,
    add_seen,
    drop,
    note_exposure,
    remember,
    seen_keys,
)
from operators.features import Weights
from operators.messages import (
    SOURCES,
    Availability,
    Forget,
    ForgetRow,
    ListRow,
    Noted,
    PopularList,
    ProfileRow,
    Pulled,
    UserChanged,
    order,
)
from operators.packing import (
    category_code,
    key_of,
)  # fmt: skip
from operators.scoring import Candidates, RankingSettings, Scored, score
from operators.shelves import Shelves
from operators.stage import (
    COUNT,
    BytesCodec,
    Codec,
    Out,
    StructCodec,
    Table,
    pair_key,
    scoped,
    tick,
)

NO_SEED = 255
NOTHING_YET = "nothing is known yet of what goes with this user's items"
NOT_PERSONAL = "this user has switched personalisation off"


@dataclass
class RankingState:
    """Users; keys of their items in chunks; shared lists; keys of unavailable items; changed users.

    `changed` holds (tenant, user) of the users whose stored profile has to be renewed.
    """

    user: Table[RankedUser]
    seen: Table[bytes]
    shared: Table[PopularList]
    unavailable: Table[bytes]
    changed: Table[tuple[str, str]]


Message = Pulled | Noted | UserChanged | Forget | PopularList | Availability


class Ranking:
    """See the module."""

    name = "ranking"
    inputs = Message
    codecs: Mapping[str, Codec[Any]] = {
        "user": UserCodec(),
        "seen": BytesCodec(),
        "shared": StructCodec(PopularList),
        "unavailable": BytesCodec(),
        "changed": StructCodec(tuple[str, str]),
    }
    state_type = RankingState
    order = staticmethod(order)

    def __init__(self, settings: RankingSettings, weights: Weights) -> None:
        self._settings = settings
        self._weights = weights
        self._shelves = Shelves()

    def apply(self, state: RankingState, batch: Sequence[Message]) -> list[Out]:
        outs: list[Out] = []
        users: dict[str, RankedUser] = {}
        changed: dict[str, Message] = {}
        for message in batch:
            if isinstance(message, PopularList):
                state.shared.put(pair_key(message.tenant, message.name), message)
                continue
            if isinstance(message, Availability):
                _note_availability(state, message)
                continue
            key, seq = _address(message)
            user = users.get(key) or state.user.get(key) or RankedUser()
            if seq <= user.erased_seq:
                outs.append(Out(COUNT, "after_erasure", 1))
                continue
            if isinstance(message, Forget):
                user = _forget(state, key, user, message)
                row = ForgetRow(user.clock_us, message.tenant, message.user)
                outs.append(Out("rows", key, row))
                changed.pop(key, None)
            else:
                self._apply_one(state, key, user, message)
                changed[key] = message
            users[key] = user
        outs += self._lists(state, users, changed)
        for key, user in users.items():
            state.user.put(key, user)
        return outs

    def _apply_one(self, state: RankingState, key: str, user: RankedUser, message: Message) -> None:
        if isinstance(message, Pulled):
            signal = message.counted.signal
            if signal.liked and signal.first:
                note_exposure(user)
            absorb(user, message, seen_keys(state.seen, key, user), self._settings)
            add_seen(state.seen, key, user, key_of(message.counted.figures))
            remember(user, signal.action, signal.item)
        elif isinstance(message, Noted):
            if message.negative:
                add_seen(state.seen, key, user, message.item_key)
                drop(user, message.item_key)
            remember(user, message.action, None)
        elif isinstance(message, UserChanged) and message.time_ms >= user.settings_ms:
            user.settings_ms = message.time_ms
            user.personalise = message.personalise
            user.blocked = sorted(map(category_code, message.blocked_categories))

    def _lists(
        self, state: RankingState, users: Mapping[str, RankedUser], changed: Mapping[str, Message]
    ) -> list[Out]:
        """New rows of the users that changed."""
        outs: list[Out] = []
        for key, message in changed.items():
            user = users[key]
            candidates = self._candidates(state, key, user, message)
            one = score(candidates, self._weights, self._settings)
            tenant, name = _whose(message)
            user.clock_us = tick(user.clock_us, message.time_ms)
            digest = one.digest(bytes(user.known)) if user.personalise else b"off"
            if digest != user.digest:
                user.digest, user.generation = digest, user.generation + 1
                outs.append(Out("rows", key, _list_row(tenant, name, user, one)))
            state.changed.put(key, (tenant, name))
        return outs

    def settle(self, state: RankingState) -> list[Out]:
        """Profiles of all users that did something since the last call."""
        outs: list[Out] = []
        for key in state.changed.all_keys():
            changed, user = state.changed.get(key), state.user.get(key)
            if changed is not None and user is not None:
                row = ProfileRow(user.clock_us, *changed, dict(user.counts), list(user.recent))
                outs.append(Out("rows", key, row))
        state.changed.clear()
        return outs

    def _candidates(
        self, state: RankingState, key: str, user: RankedUser, message: Message
    ) -> Candidates:
        tenant = _whose(message)[0]
        shelf, reference = self._shelves.of(state.shared, tenant, user.category)
        unavailable = np.frombuffer(state.unavailable.get(tenant) or b"", "<u8")
        seen = seen_keys(state.seen, key, user)
        return Candidates(user, seen, shelf, unavailable, reference, message.time_ms)


def _address(message: Pulled | Noted | UserChanged | Forget) -> tuple[str, int]:
    who = message.counted.signal if isinstance(message, Pulled) else message
    return scoped(who.tenant, who.user), who.seq


def _whose(message: Message) -> tuple[str, str]:
    assert not isinstance(message, PopularList | Availability)
    who = message.counted.signal if isinstance(message, Pulled) else message
    return who.tenant, who.user


def _forget(state: RankingState, key: str, user: RankedUser, message: Forget) -> RankedUser:
    for number in range(user.seen_chunks):
        state.seen.delete(pair_key(key, str(number)))
    state.changed.delete(key)
    clock_us = tick(user.clock_us, message.time_ms)
    return RankedUser(erased_seq=message.seq, clock_us=clock_us)


def _note_availability(state: RankingState, message: Availability) -> None:
    known = np.frombuffer(state.unavailable.get(message.tenant) or b"", "<u8")
    one = np.array([message.item_key], "<u8")
    kept = np.setdiff1d(known, one) if message.available else np.union1d(known, one)
    state.unavailable.put(message.tenant, kept.astype("<u8").tobytes())


def _list_row(tenant: str, name: str, user: RankedUser, scored: Scored) -> ListRow:
    if not user.personalise:
        return ListRow(
            user.clock_us,
            tenant,
            name,
            [],
            b"",
            b"",
            b"",
            b"",
            [],
            user.generation,
            NOT_PERSONAL,
            b"",
        )
    events = list(dict.fromkeys(n for n in scored.seeds if n in user.seeds))[:NO_SEED]
    place = {number: index for index, number in enumerate(events)}
    in_cf = SOURCES.index("co_occurrence"), SOURCES.index("trending")
    return ListRow(
        user.clock_us, tenant, name, scored.ids,
        scored.scores.astype("<f4").tobytes(), scored.item_scores.astype("<f4").tobytes(),
        bytes(in_cf[0] if inside else in_cf[1] for inside in scored.inside),
        bytes(place.get(number, NO_SEED) for number in scored.seeds),
        [user.seeds[number] for number in events], user.generation,
        "" if any(scored.inside) else NOTHING_YET, bytes(user.known),
    )  # fmt: skip
