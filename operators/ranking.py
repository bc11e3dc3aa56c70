"""Fifth stage, by user: accumulates candidates, scores them, and writes the list with its reasons.

Each answer of a neighbour stage is added to the user's candidate rows, which fade with every own
event (0.9, the fast ones 0.6): the list is about what the user does now, and costs the same after
ten events and after ten thousand. `scoring` turns rows and shared lists into the best ones.

Before an event is absorbed, the list that was being served is judged by it: an `Outcome`.

200 rows are kept a user, not the 300 of the simulation: it measured .1237 against .1245 hits
without and .1665 against .1664 with learned weights, and a third of the state is saved.

Interests (`interests`) group the rows; `composing` makes of the scored candidates one list a
surface. The weights in force are the newest that a tenant was told of, or those of the settings;
what a first like says about them is in its outcome, see `learning`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace

from operators import recall
from operators.accumulator import (
    RankedUser,
    UserCodec,
    absorb,
    add_seen,
    drop,
    drop_stale,
    note_exposure,
    remember,
    seen_keys,
)
from operators.composing import Strategy
from operators.features import FEATURES, Floats, Reference, Weights, outside_part
from operators.figures import FRESH
from operators.kernels import NOWHERE, place_of
from operators.learning import LearningSettings, Voices, gradient_of
from operators.messages import (
    Availability,
    Expired,
    Forget,
    ForgetRow,
    NewWeights,
    Noted,
    Outcome,
    PopularList,
    Pulled,
    Recalled,
    RowDue,
    Said,
    UserChanged,
    order,
)
from operators.outcomes import counts, is_hit, key_of_item, outcome_of
from operators.packing import Keys, contained, key_of
from operators.profiles import change, hear, profile_row, refuse, shares_of
from operators.reasons import list_row
from operators.scoring import NOTHING, Candidates, Ranked, RankingSettings, Scored, listed, score
from operators.served import SHOWN, RowCodec, Served, SharedRow, StoredRow, serve
from operators.shadows import NO_ROW, Merged, Row, Shadow, merged, row_of, standing_key
from operators.shelves import GENERAL, Shelf, Shelves
from operators.stage import (
    COUNT,
    BytesCodec,
    Codec,
    Out,
    StructCodec,
    Table,
    in_turn,
    labelled,
    pair_key,
    scoped,
    tick,
)
from operators.trending import ALL, shared_row, trending_row

STALE = "stale"
"""Name under which `unavailable` keeps the latest time of an item that was forgotten."""


@dataclass
class RankingState:
    """Users; keys of their items in chunks; shared lists; keys of unavailable items; changed users.

    The key of an item that is deleted and forgotten is forgotten too; from then on candidates are
    dropped that show no life since it did: rows of it may be left with its neighbours and with
    users who do little, and none of them is younger.

    By tenant, `standing` holds the row `all` as a reader finds it, and as shadows would have it,
    `earlier` what stood there before, `weights` those in force; `shadow` holds what shadows would
    have stored of a user, by name; `changed` (tenant, user) of the users whose stored profile has
    to be renewed, `turn` the one of them that was renewed last.
    """

    user: Table[RankedUser]
    seen: Table[bytes]
    shared: Table[PopularList]
    standing: Table[SharedRow]
    earlier: Table[SharedRow]
    weights: Table[NewWeights]
    shadow: Table[dict[str, Row]]
    unavailable: Table[bytes]
    changed: Table[tuple[str, str]]
    turn: Table[str]


OfUser = Pulled | Recalled | Noted | Said | UserChanged | Forget | Expired
Shared = PopularList | Availability | RowDue | NewWeights


@dataclass
class _Run:
    """One call of `apply`.

    Attributes:
        standing: The rows `all` that this call renews, as they stood before, by their keys, each
            with the one before it.
        users: That it has read, by key.
        served: What was being shown to them before it; `shadowed` what shadows would have shown.
        changed: The last message of each user that needs a new list.
        shelves: By tenant and names of lists.
    """

    state: RankingState
    standing: dict[str, tuple[SharedRow, SharedRow]] = field(default_factory=dict)
    users: dict[str, RankedUser] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    shadowed: dict[str, dict[str, Merged]] = field(default_factory=dict)
    changed: dict[str, OfUser] = field(default_factory=dict)
    shelves: dict[tuple[str, ...], tuple[Shelf, Reference]] = field(default_factory=dict)
    outs: list[Out] = field(default_factory=list)

    def user(self, key: str) -> RankedUser:
        """A user, read once."""
        user = self.users.get(key)
        if user is None:
            user = self.users[key] = self.state.user.get(key) or RankedUser()
        return user

    def forget(self, key: str) -> None:
        """Keep nothing of a user."""
        _delete_seen(self.state, key, self.users.pop(key))
        self.state.user.delete(key)
        self.drop(key)

    def drop(self, key: str) -> None:
        """Make no list for a user, and judge what was being shown anew."""
        for noted in (self.changed, self.served, self.shadowed):
            noted.pop(key, None)

    def stood(self, key: str) -> tuple[SharedRow, SharedRow]:
        """A row `all` as it stood before this call, and the one before it."""
        state = self.state
        return self.standing.get(key) or (
            state.standing.get(key) or SharedRow(),
            state.earlier.get(key) or SharedRow(),
        )

    def before(self, key: str, time_ms: int) -> SharedRow:
        """A row `all` as a reader found it before an event.

        Live, the way over the popular lists may be the shorter one: then the row that stands here
        when an event is judged holds the event already.
        """
        newest, earlier = self.stood(key)
        return newest if newest.as_of_ms < time_ms else earlier


class Ranking:
    """See the module."""

    name = "ranking"
    inputs = OfUser | Shared
    codecs: Mapping[str, Codec[Any]] = {
        "user": UserCodec(),
        "seen": BytesCodec(),
        "shared": StructCodec(PopularList),
        "standing": RowCodec(),
        "earlier": RowCodec(),
        "weights": StructCodec(NewWeights),
        "shadow": StructCodec(dict[str, Row]),
        "unavailable": BytesCodec(),
        "changed": StructCodec(tuple[str, str]),
        "turn": StructCodec(str),
    }
    state_type: type[RankingState] = RankingState
    order = staticmethod(order)

    def __init__(
        self,
        settings: RankingSettings,
        weights: Weights,
        learning: LearningSettings,
        variant: str = "default",
        shadows: Mapping[str, Shadow] | None = None,
    ) -> None:
        self._settings, self._strategies = settings, settings.strategies
        self._shadows = {
            name: (shadow, shadow.settings(settings)) for name, shadow in (shadows or {}).items()
        }
        self._voices = Voices(weights)
        self._snapshot = learning.snapshot if learning.enabled else 0
        self._variant = variant
        self._shelves = Shelves()

    def apply(self, state: RankingState, batch: Sequence[OfUser | Shared]) -> list[Out]:
        run = _Run(state)
        self._take_shared(run, [one for one in batch if isinstance(one, Shared)])
        for message in batch:
            if not isinstance(message, Shared):
                self._take(run, message)
        self._judged(run)
        self._lists(run)
        for key, user in run.users.items():
            state.user.put(key, user)
        return run.outs

    def _take_shared(self, run: _Run, shared: Sequence[Shared]) -> None:
        """Keep what is for everybody; the row `all` is renewed, its old one stays for the run."""
        state = run.state
        renewed: list[str] = []
        for message in shared:
            if isinstance(message, Availability):
                _note_availability(state, message)
            elif isinstance(message, NewWeights):
                state.weights.put(message.tenant, message)
            elif isinstance(message, PopularList):
                state.shared.put(pair_key(message.tenant, message.name), message)
                if message.name == ALL and message.tenant not in run.standing:
                    renewed.append(message.tenant)
                    run.standing |= {key: run.stood(key) for key in self._keys(message.tenant)}
        for tenant in renewed:
            for key, shadow in self._keys(tenant).items():
                state.earlier.put(key, run.standing[key][0])
                state.standing.put(key, self._shared_row(state, tenant, ALL, shadow))
        for message in shared:
            if isinstance(message, RowDue):
                tenant, name = message.tenant, message.name
                made = self._shared_row(state, tenant, name)
                row = trending_row(tenant, name, message.written_us, made)
                run.outs.append(Out("rows", scoped(tenant, name), row))

    def _keys(self, tenant: str) -> dict[str, Shadow | None]:
        """Keys of the rows `all` of a tenant, and whose weights order them."""
        shadows = {standing_key(tenant, name): one for name, (one, _) in self._shadows.items()}
        return {tenant: None, **shadows}

    def _shared_row(
        self, state: RankingState, tenant: str, name: str, shadow: Shadow | None = None
    ) -> SharedRow:
        shared = state.shared.get(pair_key(tenant, name)) or PopularList(
            0, "", tenant, name, [], b""
        )
        reference = self._shelves.reference(state.shared, tenant)
        values, model = self._voices.of(state.weights, tenant)
        values = shadow.values(values) if shadow else values
        outside = outside_part(values, self._settings.candidates_max)
        return shared_row(shared, reference, values, outside, model)

    def _take(self, run: _Run, message: OfUser) -> None:
        key, seq = _address(message)
        user = run.user(key)
        if isinstance(message, Expired):
            run.forget(key)
            row = ForgetRow(tick(user.clock_us, message.time_ms), message.tenant, message.user)
            run.outs.append(Out("rows", key, row))
        elif seq <= user.erased_seq:
            run.outs.append(Out(COUNT, "after_erasure", 1))
        elif isinstance(message, Forget):
            run.users[key] = user = _forget(run.state, key, user, message)
            row = ForgetRow(user.clock_us, message.tenant, message.user)
            run.outs.append(Out("rows", key, row))
            run.drop(key)
        else:
            self._apply_one(run, key, user, message)
            run.changed[key] = message

    def _apply_one(
        self,
        run: _Run,
        key: str,
        user: RankedUser,
        message: Pulled | Recalled | Noted | Said | UserChanged,
    ) -> None:
        state = run.state
        if isinstance(message, Pulled):
            signal = message.counted.signal
            self._judge(run, key, user, message)
            if signal.liked and signal.first:
                note_exposure(user, run.served[key].shown_keys)
            if message.returned:
                recall.begin(user, signal.seq)
            absorb(user, message, seen_keys(state.seen, key, user), self._settings)
            add_seen(state.seen, key, user, key_of(message.counted.figures))
            remember(user, signal.action, signal.item)
        elif isinstance(message, Recalled):
            recall.recall(user, message, seen_keys(state.seen, key, user), self._settings)
        elif isinstance(message, Noted):
            if message.negative:
                self._judge(run, key, user, message)
                add_seen(state.seen, key, user, message.item_key)
                refuse(user, message.item_key)
                drop(user, message.item_key)
            remember(user, message.action, None)
        elif isinstance(message, Said):
            hear(user, message, self._settings)
            if message.action == "mood":
                remember(user, message.action, None)
        else:
            change(user, message)

    def _judge(self, run: _Run, key: str, user: RankedUser, message: Pulled | Noted) -> None:
        """Say what the user does with what was being shown before this run."""
        served = run.served.get(key)
        if served is None:
            served = run.served[key] = self._served(run, user, message)
        known = isinstance(message, Noted) and bool(
            contained(np.array([message.item_key], np.uint64), seen_keys(run.state.seen, key, user))
        )
        outcome = outcome_of(message, user, served, self._variant, known=known)
        if outcome.liked and outcome.first:
            outcome = replace(outcome, gradient=self._gradient(run.state, user, message))
        if self._shadows:
            outcome = replace(outcome, shadows=self._shadow_ranks(run, key, user, message))
        run.outs.append(Out("outcomes", key, outcome))

    def _gradient(self, state: RankingState, user: RankedUser, message: Pulled | Noted) -> bytes:
        """What a like says about the weights, if the item was one of several in the snapshot."""
        assert isinstance(message, Pulled)
        own, known = np.uint64(key_of(message.counted.figures)), len(user.snapshot)
        place = place_of(user.snapshot, known, own)
        if place == NOWHERE or known < 2 or user.features.shape != (known, len(FEATURES)):
            return b""
        values, _ = self._voices.of(state.weights, tenant_of(message))
        return gradient_of(user.features, values, place).astype("<f8").tobytes()

    def _served(self, run: _Run, user: RankedUser, message: Pulled | Noted) -> Served:
        tenant = tenant_of(message)
        shared, unavailable = run.before(tenant, message.time_ms), _unavailable(run.state, tenant)
        return serve(user.listed, shared, _filter(user), unavailable)

    def _shadow_ranks(
        self, run: _Run, key: str, user: RankedUser, message: Pulled | Noted
    ) -> dict[str, int | None]:
        """Where each shadow would have shown the item; nothing of one that knew no user yet."""
        lists = run.shadowed.get(key)
        if lists is None:
            tenant, rows = tenant_of(message), run.state.shadow.get(key) or {}
            rows = rows if user.listed.model else dict.fromkeys(self._shadows, NO_ROW)
            unavailable = _unavailable(run.state, tenant)
            lists = run.shadowed[key] = {
                name: merged(rows[name], run.before(standing_key(tenant, name), message.time_ms),
                             _filter(user), unavailable)
                for name in self._shadows if name in rows
            }  # fmt: skip
        item = key_of_item(message)
        return {name: one.rank(item) for name, one in lists.items()}

    def _judged(self, run: _Run) -> None:
        """Count the outcomes and hits of the prequential protocol."""
        judged = [one.message for one in run.outs
                  if isinstance(one.message, Outcome) and counts(one.message)]  # fmt: skip
        if judged:
            run.outs.append(Out(COUNT, "outcomes", len(judged)))
            run.outs.append(Out(COUNT, "hits_10", sum(map(is_hit, judged))))
        for name in self._shadows:
            ranks = [one.shadows[name] for one in judged if name in one.shadows]
            if ranks:
                hits = sum(rank is not None and rank <= SHOWN for rank in ranks)
                run.outs.append(Out(COUNT, labelled("shadow", name, "outcomes"), len(ranks)))
                run.outs.append(Out(COUNT, labelled("shadow", name, "hits_10"), hits))

    def _lists(self, run: _Run) -> None:
        """New rows of the users that changed."""
        state = run.state
        for key, message in run.changed.items():
            user = run.users[key]
            tenant, name = _whose(message)
            drop_stale(user, _stale_ms(state, tenant))
            values, model = self._voices.of(state.weights, tenant)
            lists = dict.fromkeys(self._strategies, NOTHING)
            if not user.personalise:
                user.snapshot, user.features = user.snapshot[:0], user.features[:0]
                if self._shadows:
                    state.shadow.put(key, dict.fromkeys(self._shadows, NO_ROW))
            else:
                lists = self._composed(run, key, user, message, values)
            user.clock_us = tick(user.clock_us, message.time_ms)
            digests = [one.digest(bytes(user.known)) for one in lists.values()]
            digest = b"".join(digests) if user.personalise else b"off"
            if digest != user.digest:
                user.digest, user.generation = digest, user.generation + 1
                user.listed = _stored_row(user, next(iter(lists.values())), model)
                for surface, one in lists.items() if self._settings.rows else ():
                    whose, strategy = (tenant, name, surface), self._strategies[surface]
                    run.outs.append(Out("rows", key, list_row(whose, user, one, strategy)))
            state.changed.put(key, (tenant, name))

    def _composed(
        self,
        run: _Run,
        key: str,
        user: RankedUser,
        message: OfUser,
        values: Floats,
    ) -> dict[str, Scored]:
        """The list of each surface; the best candidates stay with their features."""
        settings = self._settings
        candidates = self._candidates(run, key, user, message, self._names(user, self._strategies))
        ranked = score(candidates, values, settings, self._snapshot)
        user.snapshot, user.features = ranked.snapshot, ranked.features
        shares = shares_of(user, message.time_ms, settings)
        if self._shadows:
            rows = {name: self._shadow_row(run, key, message, ranked, values, shares, name)
                    for name in self._shadows}  # fmt: skip
            run.state.shadow.put(key, rows)
        return {surface: listed(ranked, strategy, shares, settings.list_max)
                for surface, strategy in self._strategies.items()}  # fmt: skip

    def _shadow_row(
        self, run: _Run, key: str, message: OfUser, ranked: Ranked, values: Floats,
        shares: Mapping[int, float], name: str,
    ) -> Row:  # fmt: skip
        """What a shadow would store; what it shares with the served list is not done again."""
        shadow, settings = self._shadows[name]
        if shadow.kind == "popular":
            return NO_ROW
        user, strategies = ranked.candidates.user, settings.strategies
        names = self._names(user, strategies)
        if shadow.weights is not None or names != self._names(user, self._strategies):
            candidates = self._candidates(run, key, user, message, names)
            ranked = score(candidates, shadow.values(values), settings)
        (strategy,) = strategies.values()
        return row_of(listed(ranked, strategy, shares, settings.list_max))

    def settle(self, state: RankingState, limit: int | None = None) -> list[Out]:
        """Profiles of users that did something since theirs was written."""
        outs: list[Out] = []
        for key in in_turn(state.changed, state.turn, limit):
            changed, user = state.changed.get(key), state.user.get(key)
            if changed is not None and user is not None:
                outs.append(Out("rows", key, profile_row(*changed, user, self._settings)))
            state.changed.delete(key)
        return outs

    def _candidates(
        self, run: _Run, key: str, user: RankedUser, message: OfUser, lists: Sequence[str]
    ) -> Candidates:
        state, (tenant, name) = run.state, _whose(message)
        names = (tenant, *lists)
        if names not in run.shelves:
            run.shelves[names] = self._shelves.of(state.shared, tenant, names[1:])
        shelf, reference = run.shelves[names]
        seen = seen_keys(state.seen, key, user)
        unavailable = _unavailable(state, tenant)
        return Candidates(user, seen, shelf, unavailable, reference, message.time_ms, name)

    def _names(self, user: RankedUser, strategies: Mapping[str, Strategy]) -> list[str]:
        """Shared lists that candidates come from; a user without events gets the own ones first."""
        used = strategies.values()
        by_context = any(one.kind == "context" for one in used)
        segment = [f"segment:{user.segment}"] if user.segment else []
        if user.events:
            category = [f"category:{user.category}"] if user.category else []
            names = [*GENERAL, *category, *(segment if by_context else [])]
        else:
            names = [*(f"category:{topic}" for topic in user.topics), *segment, *GENERAL]
        return [*names, FRESH] if any(one.explore_places for one in used) else names


def _address(message: OfUser) -> tuple[str, int]:
    who = message.counted.signal if isinstance(message, Pulled) else message
    return scoped(who.tenant, who.user), who.seq


def tenant_of(message: OfUser) -> str:
    """Whose population the user belongs to."""
    return _whose(message)[0]


def _whose(message: OfUser) -> tuple[str, str]:
    who = message.counted.signal if isinstance(message, Pulled) else message
    return who.tenant, who.user


def _forget(state: RankingState, key: str, user: RankedUser, message: Forget) -> RankedUser:
    _delete_seen(state, key, user)
    clock_us = tick(user.clock_us, message.time_ms)
    return RankedUser(erased_seq=message.seq, clock_us=clock_us)


def _delete_seen(state: RankingState, key: str, user: RankedUser) -> None:
    for number in range(user.seen_chunks):
        state.seen.delete(pair_key(key, str(number)))
    state.changed.delete(key)
    state.shadow.delete(key)


def _filter(user: RankedUser) -> bytes:
    """What a reader finds beside the row of the items that the user knows."""
    return bytes(user.known) if user.personalise and user.listed.model else b""


def _unavailable(state: RankingState, tenant: str) -> Keys:
    return np.frombuffer(state.unavailable.get(tenant) or b"", "<u8")


def _note_availability(state: RankingState, message: Availability) -> None:
    known = _unavailable(state, message.tenant)
    one = np.array([message.item_key], "<u8")
    forgotten = message.stale_ms is not None
    kept = np.setdiff1d(known, one) if message.available or forgotten else np.union1d(known, one)
    state.unavailable.put(message.tenant, kept.astype("<u8").tobytes())
    if forgotten:
        stale_ms = max(message.stale_ms or 0, _stale_ms(state, message.tenant))
        state.unavailable.put(scoped(message.tenant, STALE), stale_ms.to_bytes(8, "little"))


def _stale_ms(state: RankingState, tenant: str) -> int:
    """Candidates that show no life after this time may be items that are forgotten; 0 for none."""
    return int.from_bytes(state.unavailable.get(scoped(tenant, STALE)) or b"", "little")


def _stored_row(user: RankedUser, scored: Scored, model: str) -> StoredRow:
    """What a reader finds from now on."""
    as_of_ms = user.clock_us // 1000
    if not user.personalise:
        return StoredRow(as_of_ms=as_of_ms, model=model)
    return StoredRow(
        scored.ids, scored.keys, scored.scores.astype("<f4"), scored.item_scores.astype("<f4"),
        as_of_ms, model, scored.sources.astype(np.uint8).tobytes(), not scored.personal,
    )  # fmt: skip
