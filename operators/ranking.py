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
from typing import Any

from operators import recall
from operators.accumulator import (
    RankedUser,
    UserCodec,
    absorb,
    add_seen,
    drop,
    drop_stale,
    remember,
    seen_keys,
)
from operators.features import Floats, Reference, Weights
from operators.judging import Judge
from operators.learning import Voices
from operators.messages import (
    Availability,
    Expired,
    Forget,
    NewWeights,
    Noted,
    PopularList,
    Pulled,
    Recalled,
    RowDue,
    Said,
    UserChanged,
    order,
)
from operators.newcomers import Newcomers, places
from operators.packing import key_of
from operators.parameters import LearningSettings, RankingSettings, Shadow
from operators.profiles import change, hear, profile_row, refuse, shares_of
from operators.ranking_run import (
    OfUser,
    RankingState,
    Run,
    Shared,
    address_of,
    delete_seen,
    note_availability,
    note_newcomers,
    stale_ms_of,
    whose,
)
from operators.reasons import list_row
from operators.results import ALL, ForgetRow
from operators.scoring import NO_KEYS, NOTHING, Candidates, Ranked, Scored, listed, score
from operators.served import RowCodec, SharedRow, StoredRow
from operators.shadows import NO_ROW, Row, row_of, standing_key
from operators.shelves import GENERAL, Shelf, Shelves, names_for, wants_of
from operators.stage import (
    COUNT,
    BytesCodec,
    Codec,
    Out,
    StructCodec,
    in_turn,
    pair_key,
    scoped,
    tick,
)
from operators.trending import SharedRows, trending_row


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
        "newcomers": StructCodec(Newcomers),
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
        self._wants = wants_of(self._strategies)
        self._shadows = {
            name: (shadow, shadow.settings(settings)) for name, shadow in (shadows or {}).items()
        }
        self._voices = Voices(weights)
        self._snapshot = learning.snapshot if learning.enabled else 0
        self._judge = Judge(self._voices, variant, self._shadows)
        self._shelves = Shelves()
        self._shared_rows = SharedRows(settings.candidates_max)

    def apply(self, state: RankingState, batch: Sequence[OfUser | Shared]) -> list[Out]:
        run = Run(state)
        self._take_shared(run, [one for one in batch if isinstance(one, Shared)])
        for message in batch:
            if not isinstance(message, Shared):
                self._take(run, message)
        self._judge.count(run)
        self._lists(run)
        for key, user in run.users.items():
            state.user.put(key, user)
        return run.outs

    def _take_shared(self, run: Run, shared: Sequence[Shared]) -> None:
        """Keep what is for everybody; the row `all` is renewed, its old one stays for the run."""
        state = run.state
        renewed: list[str] = []
        for message in shared:
            if isinstance(message, Availability):
                note_availability(state, message)
            elif isinstance(message, NewWeights):
                state.weights.put(message.tenant, message)
            elif isinstance(message, PopularList):
                state.shared.put(pair_key(message.tenant, message.name), message)
                if message.name == ALL and message.tenant not in run.standing:
                    renewed.append(message.tenant)
                    run.standing |= {key: run.stood(key) for key in self._keys(message.tenant)}
        for tenant in renewed:
            self._renew(run, tenant)
        for message in shared:
            if isinstance(message, RowDue):
                tenant, name = message.tenant, message.name
                made = self._shared_row(run, tenant, name)
                row = trending_row(tenant, name, message.written_us, made)
                run.outs.append(Out("rows", scoped(tenant, name), row))

    def _renew(self, run: Run, tenant: str) -> None:
        """Make the rows `all` of a tenant anew; those of before stay as the earlier ones."""
        for key, shadow in self._keys(tenant).items():
            stood, row = run.standing[key][0], self._shared_row(run, tenant, ALL, shadow)
            if stood.as_of_ms < row.as_of_ms:  # else it is of the same event once more
                run.state.earlier.put(key, stood)
            run.state.standing.put(key, row)

    def _keys(self, tenant: str) -> dict[str, Shadow | None]:
        """Keys of the rows `all` of a tenant, and whose weights order them."""
        shadows = {standing_key(tenant, name): one for name, (one, _) in self._shadows.items()}
        return {tenant: None, **shadows}

    def _shared_row(
        self, run: Run, tenant: str, name: str, shadow: Shadow | None = None
    ) -> SharedRow:
        shared = run.state.shared.get(pair_key(tenant, name)) or PopularList(
            0, "", tenant, name, [], b""
        )
        _, reference = self._shelf(run, tenant, GENERAL)
        values, model = self._voices.of(run.state.weights, tenant)
        values = shadow.values(values) if shadow else values
        return self._shared_rows.of(tenant, shared, reference, values, model)

    def _take(self, run: Run, message: OfUser) -> None:
        key, seq = address_of(message)
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
        run: Run,
        key: str,
        user: RankedUser,
        message: Pulled | Recalled | Noted | Said | UserChanged,
    ) -> None:
        state = run.state
        if isinstance(message, Pulled):
            signal, in_vain = message.counted.signal, NO_KEYS
            self._judge.judge(run, key, user, message)
            if signal.liked and signal.first:  # what stood in the first places was shown in vain
                in_vain = run.served[key].shown_keys
                note_newcomers(state, user, message)
            if message.returned:
                recall.begin(user, signal.seq)
            absorb(user, message, seen_keys(state.seen, key, user), in_vain, self._settings)
            add_seen(state.seen, key, user, key_of(message.counted.figures))
            remember(user, signal.action, signal.item)
        elif isinstance(message, Recalled):
            recall.recall(user, message, seen_keys(state.seen, key, user), self._settings)
        elif isinstance(message, Noted):
            if message.negative:
                self._judge.judge(run, key, user, message)
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

    def _lists(self, run: Run) -> None:
        """New rows of the users that changed."""
        state = run.state
        for key, message in run.changed.items():
            user = run.users[key]
            tenant, name = whose(message)
            drop_stale(user, stale_ms_of(state, tenant))
            values, model = self._voices.of(state.weights, tenant)
            lists = dict.fromkeys(self._strategies, NOTHING)
            if not user.personalise:
                user.snapshot, user.features = user.snapshot[:0], user.features[:0]
                if self._shadows:
                    state.shadow.put(key, dict.fromkeys(self._shadows, NO_ROW))
            else:
                lists = self._composed(run, key, user, message, values)
            first = next(iter(lists.values()))
            user.ordinary, user.untouched = first.ordinary, first.untouched
            user.clock_us = tick(user.clock_us, message.time_ms)
            digests = [one.digest(user.known) for one in lists.values()]
            digest = b"".join(digests) if user.personalise else b"off"
            if digest != user.digest:
                user.digest, user.generation = digest, user.generation + 1
                user.listed = _stored_row(user, first, model)
                for surface, one in lists.items() if self._settings.rows else ():
                    owner, strategy = (tenant, name, surface), self._strategies[surface]
                    run.outs.append(Out("rows", key, list_row(owner, user, one, strategy)))
            state.changed.put(key, (tenant, name))

    def _composed(
        self,
        run: Run,
        key: str,
        user: RankedUser,
        message: OfUser,
        values: Floats,
    ) -> dict[str, Scored]:
        """The list of each surface; the best candidates stay with their features."""
        settings = self._settings
        candidates = self._candidates(run, key, user, message, names_for(user, self._wants))
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
        self, run: Run, key: str, message: OfUser, ranked: Ranked, values: Floats,
        shares: Mapping[int, float], name: str,
    ) -> Row:  # fmt: skip
        """What a shadow would store; what it shares with the served list is not done again."""
        shadow, settings = self._shadows[name]
        if shadow.kind == "popular":
            return NO_ROW
        user, strategies = ranked.candidates.user, settings.strategies
        names = names_for(user, wants_of(strategies))
        if shadow.weights is not None or names != names_for(user, self._wants):
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
        self, run: Run, key: str, user: RankedUser, message: OfUser, lists: Sequence[str]
    ) -> Candidates:
        state, (tenant, name) = run.state, whose(message)
        shelf, reference = self._shelf(run, tenant, lists)
        seen = seen_keys(state.seen, key, user)
        unavailable, earned = run.unavailable_in(tenant), places(state.newcomers.get(tenant))
        return Candidates(user, seen, shelf, unavailable, reference, message.time_ms, name, earned)

    def _shelf(self, run: Run, tenant: str, names: Sequence[str]) -> tuple[Shelf, Reference]:
        """The lists of these names as candidates, and the tenant's reference, looked up once."""
        key = (tenant, *names)
        found = run.shelves.get(key)
        if found is None:
            general = run.general_in(tenant)
            found = run.shelves[key] = self._shelves.of(run.state.shared, general, tenant, names)
        return found


def _forget(state: RankingState, key: str, user: RankedUser, message: Forget) -> RankedUser:
    delete_seen(state, key, user)
    clock_us = tick(user.clock_us, message.time_ms)
    return RankedUser(erased_seq=message.seq, clock_us=clock_us)


def _stored_row(user: RankedUser, scored: Scored, model: str) -> StoredRow:
    """What a reader finds from now on."""
    as_of_ms = user.clock_us // 1000
    if not user.personalise:
        return StoredRow(as_of_ms=as_of_ms, model=model)
    return StoredRow(
        scored.ids, scored.keys, scored.scores, scored.item_scores,
        as_of_ms, model, scored.source_bytes, not scored.personal,
    )  # fmt: skip
