"""Every user's rows held against what was sent: nothing lost, nothing counted twice."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from deploy.bench.generator import Totals

_CONCURRENCY = 64
_PAUSE_S = 2.0


class Rows(Struct, frozen=True):
    """What Cassandra says of a user; None where there is no row.

    Attributes:
        counted: Sum of the profile's counts.
        profile_ms: Time of the last event that the profile knows.
        list_ms: The same of the list.
    """

    counted: int | None
    profile_ms: int | None
    list_ms: int | None


class Completeness(Struct, kw_only=True):
    """Sent against readable.

    Attributes:
        users: Users with events.
        sent: Their events.
        counted: Events in their profiles.
        lost: Events that a profile has too few, over all users.
        doubled: Events that a profile has too many.
        without_profile: Users.
        without_list: Users.
        profiles_behind: Users whose profile is older than their last event.
        lists_behind: Users whose list is older than their last event. Not an error in itself: a
            list that an event does not change is not written again, such as after a search.
        settled_s: How long after the last event was served all was as it should be, or how long
            it was waited for.
    """

    users: int = 0
    sent: int = 0
    counted: int = 0
    lost: int = 0
    doubled: int = 0
    without_profile: int = 0
    without_list: int = 0
    profiles_behind: int = 0
    lists_behind: int = 0
    settled_s: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether everything sent is readable, once."""
        return not (self.lost or self.doubled or self.without_list or self.profiles_behind)


def compare(totals: Mapping[str, tuple[int, int]], rows: Mapping[str, Rows]) -> Completeness:
    """Hold rows against what was sent."""
    found = Completeness(users=len(totals))
    for user, (sent, last_ms) in totals.items():
        row = rows[user]
        counted = row.counted or 0
        found.sent += sent
        found.counted += counted
        found.lost += max(0, sent - counted)
        found.doubled += max(0, counted - sent)
        found.without_profile += row.profile_ms is None
        found.without_list += row.list_ms is None
        found.profiles_behind += row.profile_ms is None or row.profile_ms < last_ms
        found.lists_behind += row.list_ms is not None and row.list_ms < last_ms
    return found


class Reader:
    """Reads the rows of users."""

    def __init__(self, session: Any, keyspace: str, tenant: str, surface: str) -> None:
        self._session, self._tenant, self._surface = session, tenant, surface
        self._profile = session.prepare(
            f"SELECT counts, to_unix_timestamp(as_of) FROM {keyspace}.profiles "
            "WHERE tenant = ? AND user_id = ?"
        )
        self._list = session.prepare(
            f"SELECT to_unix_timestamp(as_of) FROM {keyspace}.recommendations "
            "WHERE tenant = ? AND user_id = ? AND surface = ?"
        )

    def rows(self, users: list[str]) -> dict[str, Rows]:
        """Read the rows of these users."""
        profiles = self._read(self._profile, [(self._tenant, user) for user in users])
        lists = self._read(self._list, [(self._tenant, user, self._surface) for user in users])
        return {
            user: Rows(
                sum(profile[0].values()) if profile and profile[0] else None,
                profile[1] if profile else None,
                one[0] if one else None,
            )
            for user, profile, one in zip(users, profiles, lists, strict=True)
        }

    def _read(self, statement: Any, keys: list[tuple[str, ...]]) -> list[Any]:
        from cassandra.concurrent import execute_concurrent_with_args

        results = execute_concurrent_with_args(
            self._session, statement, keys, concurrency=_CONCURRENCY
        )
        return [answer.one() for _, answer in results]


class Reads(Protocol):
    """What `settle` needs of `Reader`."""

    def rows(self, users: list[str]) -> dict[str, Rows]:
        """The rows of these users."""


def settle(
    reader: Reads,
    totals: Totals,
    patience_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Completeness:
    """Compare until all is as it should be, or the patience is over."""
    began_s = clock()
    rows = reader.rows(list(totals))
    while True:
        found = compare(totals, rows)
        found.settled_s = clock() - began_s
        if found.complete or found.settled_s > patience_s:
            return found
        sleep(_PAUSE_S)
        wrong = [
            user
            for user, total in totals.items()
            if not compare({user: total}, {user: rows[user]}).complete
        ]
        rows |= reader.rows(wrong)


def delete_items(session: Any, keyspace: str, tenant: str) -> None:
    """Delete the item rows of a tenant: unlike all others they have no end of their own."""
    from cassandra.concurrent import execute_concurrent_with_args

    table = f"{keyspace}.item_features"
    found = session.execute(
        f"SELECT item_id FROM {table} WHERE tenant = %s ALLOW FILTERING", (tenant,)
    )
    delete = session.prepare(f"DELETE FROM {table} WHERE tenant = ? AND item_id = ?")
    keys = [(tenant, row[0]) for row in found]
    execute_concurrent_with_args(session, delete, keys, concurrency=_CONCURRENCY)
