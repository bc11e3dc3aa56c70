"""What the ranking keeps, and what one call of it holds in hand.

`ranking` moves it, `judging` reads it.
"""

from dataclasses import dataclass, field

import numpy as np

from operators.accumulator import RankedUser
from operators.features import Reference
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
)
from operators.newcomers import Newcomers, count
from operators.packing import Keys, key_of
from operators.served import Served, SharedRow
from operators.shadows import Merged, Row
from operators.shelves import GENERAL, Shelf
from operators.stage import Out, Table, pair_key, scoped

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
    to be renewed, `turn` the one of them that was renewed last; `newcomers`, by tenant, what places
    for them are worth.
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
    newcomers: Table[Newcomers]


OfUser = Pulled | Recalled | Noted | Said | UserChanged | Forget | Expired
Shared = PopularList | Availability | RowDue | NewWeights


@dataclass
class Run:
    """One call of `apply`.

    Attributes:
        standing: The rows `all` that this call renews, as they stood before, by their keys, each
            with the one before it.
        users: That it has read, by key.
        served: What was being shown to them before it; `shadowed` what shadows would have shown.
        changed: The last message of each user that needs a new list.
        general: By tenant, the lists `GENERAL` by name.
        shelves: By tenant and names of lists.
        unavailable: By tenant. This and the two before from when the messages for everybody are
            taken in.
    """

    state: RankingState
    standing: dict[str, tuple[SharedRow, SharedRow]] = field(default_factory=dict)
    users: dict[str, RankedUser] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    shadowed: dict[str, dict[str, Merged]] = field(default_factory=dict)
    changed: dict[str, OfUser] = field(default_factory=dict)
    general: dict[str, dict[str, PopularList | None]] = field(default_factory=dict)
    shelves: dict[tuple[str, ...], tuple[Shelf, Reference]] = field(default_factory=dict)
    unavailable: dict[str, Keys] = field(default_factory=dict)
    outs: list[Out] = field(default_factory=list)

    def user(self, key: str) -> RankedUser:
        """A user, read once."""
        user = self.users.get(key)
        if user is None:
            user = self.users[key] = self.state.user.get(key) or RankedUser()
        return user

    def forget(self, key: str) -> None:
        """Keep nothing of a user."""
        delete_seen(self.state, key, self.users.pop(key))
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

    def general_in(self, tenant: str) -> dict[str, PopularList | None]:
        """The lists `GENERAL` of a tenant by name, read once."""
        lists = self.general.get(tenant)
        if lists is None:
            lists = self.general[tenant] = {
                name: self.state.shared.get(pair_key(tenant, name)) for name in GENERAL
            }
        return lists

    def unavailable_in(self, tenant: str) -> Keys:
        """`unavailable_of`, read once."""
        keys = self.unavailable.get(tenant)
        if keys is None:
            keys = self.unavailable[tenant] = unavailable_of(self.state, tenant)
        return keys

    def before(self, key: str, time_ms: int) -> SharedRow:
        """A row `all` as a reader found it before an event.

        Live, the way over the popular lists may be the shorter one: then the row that stands here
        when an event is judged holds the event already.
        """
        newest, earlier = self.stood(key)
        return newest if newest.as_of_ms < time_ms else earlier


def address_of(message: OfUser) -> tuple[str, int]:
    """Key and number of a message about a user."""
    who = message.counted.signal if isinstance(message, Pulled) else message
    return scoped(who.tenant, who.user), who.seq


def tenant_of(message: OfUser) -> str:
    """Whose population the user belongs to."""
    return whose(message)[0]


def whose(message: OfUser) -> tuple[str, str]:
    """Tenant and name of the user that a message is about."""
    who = message.counted.signal if isinstance(message, Pulled) else message
    return who.tenant, who.user


def filter_of(user: RankedUser) -> bytes:
    """What a reader finds beside the row of the items that the user knows."""
    return bytes(user.known) if user.personalise and user.listed.model else b""


def delete_seen(state: RankingState, key: str, user: RankedUser) -> None:
    """Forget what a user has seen, and what waits for the user."""
    for number in range(user.seen_chunks):
        state.seen.delete(pair_key(key, str(number)))
    state.changed.delete(key)
    state.shadow.delete(key)


def unavailable_of(state: RankingState, tenant: str) -> Keys:
    """Sorted keys of the items of a tenant that nobody is to be shown."""
    return np.frombuffer(state.unavailable.get(tenant) or b"", "<u8")


def note_availability(state: RankingState, message: Availability) -> None:
    """Keep what a catalogue record, or its end, says of an item."""
    known = unavailable_of(state, message.tenant)
    one = np.array([message.item_key], "<u8")
    forgotten = message.stale_ms is not None
    kept = np.setdiff1d(known, one) if message.available or forgotten else np.union1d(known, one)
    state.unavailable.put(message.tenant, kept.astype("<u8").tobytes())
    if forgotten:
        stale_ms = max(message.stale_ms or 0, stale_ms_of(state, message.tenant))
        state.unavailable.put(scoped(message.tenant, STALE), stale_ms.to_bytes(8, "little"))


def stale_ms_of(state: RankingState, tenant: str) -> int:
    """Candidates that show no life after this time may be items that are forgotten; 0 for none."""
    return int.from_bytes(state.unavailable.get(scoped(tenant, STALE)) or b"", "little")


def note_newcomers(state: RankingState, user: RankedUser, message: Pulled) -> None:
    """A first like says whether places for what nobody has touched would have paid."""
    if len(user.untouched):
        tenant, liked = message.counted.signal.tenant, key_of(message.counted.figures)
        known = state.newcomers.get(tenant) or Newcomers()
        state.newcomers.put(tenant, count(known, user.ordinary, user.untouched, liked))
