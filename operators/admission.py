"""First stage, by user: no event twice, no erased user back, and how much each event adds.

It stands before the item counters because only a user's own state can tell a repeated click from
a new one: the figures behind it add increases of the maximum strength, so a thousand clicks of
one user count once, and it knows exactly what to take back when the user is erased.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from operators import expiry
from operators.events import (
    NEGATIVE_ACTIONS,
    Erase,
    Event,
    Impression,
    Interaction,
    UserUpdate,
    Written,
    subject_of,
)
from operators.expiry import Wheel
from operators.messages import (
    Expired,
    Forget,
    Noted,
    Said,
    Signal,
    UserChanged,
    Withdrawn,
)
from operators.packing import item_key
from operators.parameters import AdmissionSettings
from operators.stage import (
    COUNT,
    BytesCodec,
    Codec,
    Out,
    StructCodec,
    Table,
    append,
    pair_key,
    scoped,
    settle_nothing,
)
from operators.strengths import Strengths, is_like, strength_of

TOUCHED_CHUNK = 64
WITHOUT_STRENGTH = frozenset({"search", "satisfaction"})


class User(Struct, array_like=True):
    """What admission keeps of a user: a message counter, the number of items, settings.

    Attributes:
        due_ms: When the user is forgotten unless seen again.
        brief: It is a session without consent.
    """

    seq: int = 0
    items: int = 0
    erased_ms: int = -1
    segment: str = ""
    settings_ms: int = -1
    due_ms: int = -1
    brief: bool = False


class Seen(Struct, array_like=True):
    """A user's strength for one item, since when it is a like, and in which segment it counted."""

    strength: int
    liked_ms: int | None
    segment: str


Span = tuple[int, int]
"""Start of the newest span of event ids in ms, and which of the two tables holds it."""


@dataclass
class AdmissionState:
    """Users; strengths by user and item; items of a user in chunks; event ids of two spans.

    `due` and `wheel` say who is to be forgotten when, see `expiry`.
    """

    user: Table[User]
    seen: Table[Seen]
    touched: Table[list[str]]
    ids_even: Table[bytes]
    ids_odd: Table[bytes]
    span: Table[Span]
    due: Table[list[str]]
    wheel: Table[Wheel]


class Admission:
    """See the module."""

    name = "admission"
    inputs = Event | Written
    codecs: Mapping[str, Codec[Any]] = {
        "user": StructCodec(User),
        "seen": StructCodec(Seen),
        "touched": StructCodec(list[str]),
        "ids_even": BytesCodec(),
        "ids_odd": BytesCodec(),
        "span": StructCodec(Span),
        "due": StructCodec(list[str]),
        "wheel": StructCodec(Wheel),
    }
    state_type = AdmissionState
    settle = staticmethod(settle_nothing)

    @staticmethod
    def order(message: Event | Written) -> tuple[int, int, str]:
        return 1, message.event_time, _own_id(message)

    def __init__(self, settings: AdmissionSettings, strengths: Strengths) -> None:
        self._settings = settings
        self._strengths = strengths

    def apply(self, state: AdmissionState, batch: Sequence[Event | Written]) -> list[Out]:
        outs: list[Out] = []
        wheel = state.wheel.get("") or Wheel()
        for event in batch:
            if expiry.advance(wheel, event.event_time):
                outs += _expire(state, wheel, event)
            subject = subject_of(event)
            if subject is None:
                outs.append(Out(COUNT, "without_consent", 1))
                continue
            key = scoped(event.tenant, subject)
            user = state.user.get(key) or User()
            if event.event_time <= user.erased_ms:
                outs.append(Out(COUNT, "after_erasure", 1))
            elif self._is_duplicate(state, pair_key(key, _own_id(event)), event.event_time):
                outs.append(Out(COUNT, "duplicates", 1))
            else:
                user.seq += 1
                outs += self._admit(state, user, subject, event)
                self._keep_for_now(state, wheel, key, user, event)
                state.user.put(key, user)
        return outs

    def _keep_for_now(
        self, state: AdmissionState, wheel: Wheel, key: str, user: User, event: Event | Written
    ) -> None:
        """Note when the user is to be forgotten, if that is later than noted before."""
        if isinstance(event, Interaction) and not event.consent:
            user.brief = True
        idle_ms = self._settings.session_idle_ms if user.brief else self._settings.user_idle_ms
        expiry.keep(state, wheel, key, user, event.event_time, idle_ms)

    def _admit(
        self, state: AdmissionState, user: User, subject: str, event: Event | Written
    ) -> list[Out]:
        if isinstance(event, Interaction):
            return self._interaction(state, user, subject, event)
        if isinstance(event, Written):
            return [_said(user, event)]
        if isinstance(event, UserUpdate):
            if event.event_time < user.settings_ms:
                return [Out(COUNT, "older_settings", 1)]
            user.settings_ms = event.event_time
            user.segment = self._segment(event.attributes, None)
            return [_user_changed(user, event)]
        if isinstance(event, Erase):
            return _erase(state, user, event)
        assert isinstance(event, Impression)
        return [Out(COUNT, "impressions", 1)]

    def _interaction(
        self, state: AdmissionState, user: User, subject: str, event: Interaction
    ) -> list[Out]:
        if event.action == "mood":
            return [_mood(user, subject, event)]
        strength = strength_of(event, self._strengths)
        negative = event.action in NEGATIVE_ACTIONS
        if event.item_id is None or negative or event.action in WITHOUT_STRENGTH:
            return [_noted(user, subject, event, negative=negative)]
        segment = user.segment or self._segment(event.context or {}, event.event_time)
        owner = scoped(event.tenant, subject)
        seen_key = pair_key(owner, event.item_id)
        seen = state.seen.get(seen_key)
        first, old = seen is None, seen.strength if seen else 0
        if seen is None and user.items >= self._settings.items_max:
            return _heavy(user, subject, event, segment)
        if seen is None:
            seen = Seen(0, None, segment)
            _remember_item(state, user, owner, event.item_id)
        liked = seen.liked_ms is None and is_like(event, strength, self._strengths)
        if first or liked or strength > old:
            liked_ms = event.event_time if liked else seen.liked_ms
            where = segment if liked else seen.segment
            kept = Seen(max(old, strength), liked_ms, where)
            state.seen.put(seen_key, kept)
        signal = Signal(
            event.event_time, event.event_id, event.tenant, subject, user.seq, event.item_id,
            event.action, strength, old, first, liked, segment,
        )  # fmt: skip
        return [Out("figures", scoped(event.tenant, event.item_id), signal)]

    def _segment(self, known: Mapping[str, Any], time_ms: int | None) -> str:
        """Name of the segment; empty if a part of it is not known.

        Args:
            known: Attributes of the user or context of the event.
            time_ms: Of the event; None for attributes, which have no hour.
        """
        parts = [
            _quarter(time_ms) if name == "hour" else str(known.get(name) or "")
            for name in self._settings.segment_by.split("+")
        ]
        return "+".join(parts) if all(parts) else ""

    def _is_duplicate(self, state: AdmissionState, key: str, time_ms: int) -> bool:
        """Whether the id is in one of two spans of ids; remembers it if not."""
        length_ms = self._settings.duplicate_ms
        start_ms = time_ms // length_ms * length_ms
        span = state.span.get("")
        tables = (state.ids_even, state.ids_odd)
        if span is None:
            span = (start_ms, 0)
            state.span.put("", span)
        elif start_ms > span[0]:
            if start_ms >= span[0] + 2 * length_ms:
                tables[span[1]].clear()
            span = (start_ms, 1 - span[1])
            tables[span[1]].clear()
            state.span.put("", span)
        if tables[0].get(key) is not None or tables[1].get(key) is not None:
            return True
        tables[span[1]].put(key, b"")
        return False


def _quarter(time_ms: int | None) -> str:
    """The quarter of the day a time lies in, in UTC.

    >>> _quarter(13 * 3_600_000)
    '12-18'
    """
    if time_ms is None:
        return ""
    first = time_ms // 3_600_000 % 24 // 6 * 6
    return f"{first:02}-{first + 6:02}"


def _own_id(event: Event | Written) -> str:
    """Its id; what a text says is told from the event it came with, and comes after it."""
    return f"{event.event_id}\x00written" if isinstance(event, Written) else event.event_id


def _said(user: User, event: Written) -> Out:
    message = Said(
        event.event_time, _own_id(event), event.tenant, event.user_id, user.seq, event.action,
        event.item_id or "", event.sentiment, event.emotions, event.tags, event.model, event.code,
    )  # fmt: skip
    return Out("ranking", scoped(event.tenant, event.user_id), message)


def _mood(user: User, subject: str, event: Interaction) -> Out:
    """How the user says to feel."""
    weight = 1.0 if event.value is None else event.value
    message = Said(
        event.event_time, event.event_id, event.tenant, subject, user.seq, event.action, "", 0.0,
        {event.text or "neutral": weight}, [], "", b"",
    )  # fmt: skip
    return Out("ranking", scoped(event.tenant, subject), message)


def _heavy(user: User, subject: str, event: Interaction, segment: str) -> list[Out]:
    """The user's list goes on, but nothing is added to anything: it could not be taken back."""
    item = event.item_id or ""
    signal = Signal(
        event.event_time, event.event_id, event.tenant, subject, user.seq, item, event.action,
        0, 0, False, False, segment,
    )  # fmt: skip
    return [
        Out("figures", scoped(event.tenant, item), signal), Out(COUNT, "heavy_users", 1)
    ]  # fmt: skip


def _expire(state: AdmissionState, wheel: Wheel, event: Event | Written) -> list[Out]:
    """Forget the next of those whose time has come; what they added to items stays."""
    outs: list[Out] = []
    for key, at_ms in expiry.overdue(state.due, wheel):
        user = state.user.get(key)
        if user is None or user.due_ms != at_ms:
            continue
        for number in range(-(-user.items // TOUCHED_CHUNK)):
            chunk = pair_key(key, str(number))
            for item in state.touched.get(chunk) or []:
                state.seen.delete(pair_key(key, item))
            state.touched.delete(chunk)
        state.user.delete(key)
        tenant, _, name = key.partition("\x1f")
        # Sorts before all events of that moment: the user may come back with this very one.
        event_id = f"\x00{event.event_id}#{len(outs)}"
        expired = Expired(event.event_time, event_id, tenant, name, user.seq)
        outs += [Out("history", key, expired), Out("ranking", key, expired)]
        outs.append(Out(COUNT, "expired_users", 1))
    state.wheel.put("", wheel)
    return outs


def _noted(user: User, subject: str, event: Interaction, *, negative: bool) -> Out:
    item = event.item_id or ""
    message = Noted(
        event.event_time, event.event_id, event.tenant, subject, user.seq, event.action, item,
        item_key(item), negative and bool(item),
    )  # fmt: skip
    return Out("ranking", scoped(event.tenant, subject), message)


def _user_changed(user: User, event: UserUpdate) -> Out:
    message = UserChanged(
        event.event_time, event.event_id, event.tenant, event.user_id, user.seq,
        event.personalise, list(event.preferences.blocked_categories),
        list(event.preferences.topics), user.segment, event.preferences.hidden_tags,
    )  # fmt: skip
    return Out("ranking", scoped(event.tenant, event.user_id), message)


def _remember_item(state: AdmissionState, user: User, owner: str, item: str) -> None:
    chunk = pair_key(owner, str(user.items // TOUCHED_CHUNK))
    append(state.touched, chunk, item)
    user.items += 1


def _erase(state: AdmissionState, user: User, event: Erase) -> list[Out]:
    """Take back all the user added; of the user stays when the erasure was asked for.

    Each message gets an id of its own: a batch has one order only if no two sort alike.
    """
    owner = scoped(event.tenant, event.user_id)
    outs: list[Out] = []
    for number in range(-(-user.items // TOUCHED_CHUNK)):
        chunk = pair_key(owner, str(number))
        for item in state.touched.get(chunk) or []:
            seen = state.seen.get(pair_key(owner, item))
            assert seen is not None
            message = Withdrawn(
                event.event_time, f"{event.event_id}#{len(outs)}", event.tenant, item,
                seen.strength, seen.liked_ms, seen.segment,
            )  # fmt: skip
            outs.append(Out("figures", scoped(event.tenant, item), message))
            state.seen.delete(pair_key(owner, item))
        state.touched.delete(chunk)
    user.items, user.segment, user.erased_ms = 0, "", event.event_time
    forget = Forget(event.event_time, event.event_id, event.tenant, event.user_id, user.seq)
    return [*outs, Out("history", owner, forget), Out("ranking", owner, forget)]
