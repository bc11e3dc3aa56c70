"""The rows the jobs wrote, as structs: the only place here that speaks CQL."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from deploy.errors import HeadwaterError
from deploy.preflight import cassandra_trouble
from deploy.stack import schema
from jobs.access import cassandra_password
from jobs.settings import Cassandra
from operators.reading import ListedItem, StoredList
from operators.seen import SeenFilter

CONCURRENCY = 64
_STATEMENTS = {
    "list": "SELECT items, generation, as_of, model, variant, fallback, seen "
    "FROM {0}.recommendations WHERE tenant = ? AND user_id = ? AND surface = ?",
    "surfaces": "SELECT surface FROM {0}.recommendations WHERE tenant = ? AND user_id = ?",
    "similar": "SELECT items, as_of, model FROM {0}.similar_items WHERE tenant = ? AND item_id = ?",
    "trending": "SELECT items, as_of FROM {0}.trending WHERE tenant = ? AND segment = ?",
    "segments": "SELECT DISTINCT tenant, segment FROM {0}.trending",
    "item": "SELECT title, available FROM {0}.item_features WHERE tenant = ? AND item_id = ?",
    "profile": "SELECT interests, tags, mood, counts, recent, as_of FROM {0}.profiles "
    "WHERE tenant = ? AND user_id = ?",
}


class StoreError(HeadwaterError):
    """Cassandra does not answer, or lacks the tables."""


class UserList(Struct, frozen=True, kw_only=True):
    """A row of `recommendations`.

    Attributes:
        stored: The list.
        seen: What the user knows.
        variant: Of an experiment.
    """

    stored: StoredList
    seen: SeenFilter
    variant: str = ""


class ItemFacts(Struct, frozen=True):
    """What the catalogue says of an item."""

    title: str
    available: bool = True


class Weighted(Struct, frozen=True):
    """A word with what it is worth to a user.

    Attributes:
        item_id: Of an interest: the user's own item that stands for it.
        sentiment: Of a tag: what the user has written of it, -1 to 1; None where nothing.
    """

    name: str
    weight: float
    item_id: str | None = None
    sentiment: float | None = None


class Profile(Struct, frozen=True, kw_only=True):
    """A row of `profiles`: actions by kind, newest items first, what the user leans to."""

    as_of_ms: int
    counts: Mapping[str, int] = {}
    recent: Sequence[str] = ()
    interests: Sequence[Weighted] = ()
    tags: Sequence[Weighted] = ()
    mood: Mapping[str, float] = {}


class Store:
    """Reads by key, one prepared statement a table.

    Args:
        session: Of the Cassandra driver.
        keyspace: Of the tables.
    """

    def __init__(self, session: Any, keyspace: str) -> None:
        self._session = session
        self._prepared = {
            name: session.prepare(cql.format(keyspace)) for name, cql in _STATEMENTS.items()
        }

    def user_list(self, tenant: str, user: str, surface: str) -> UserList | None:
        """A user's list, if there is one."""
        row = self._one("list", tenant, user, surface)
        if row is None:
            return None
        stored = StoredList(
            items=_items(row.items), as_of_ms=_ms(row.as_of), model=row.model or "",
            generation=row.generation or 0, fallback=row.fallback,
        )  # fmt: skip
        return UserList(stored=stored, seen=SeenFilter(row.seen or b""), variant=row.variant or "")

    def trending(self, tenant: str, segment: str) -> StoredList | None:
        """A shared list, if there is one."""
        row = self._one("trending", tenant, segment)
        return row and StoredList(items=_items(row.items), as_of_ms=_ms(row.as_of))

    def segments(self, tenant: str) -> list[str]:
        """Names of the shared lists."""
        rows = self._session.execute(self._prepared["segments"])
        return sorted(row.segment for row in rows if row.tenant == tenant)

    def similar(self, tenant: str, item: str) -> StoredList | None:
        """The neighbours of an item, if it has any."""
        row = self._one("similar", tenant, item)
        return row and StoredList(
            items=_items(row.items), as_of_ms=_ms(row.as_of), model=row.model or ""
        )

    def items(self, tenant: str, ids: Collection[str]) -> dict[str, ItemFacts]:
        """What the catalogue says of these items; unknown ones are left out."""
        from cassandra.concurrent import execute_concurrent_with_args

        wanted = list(dict.fromkeys(ids))
        results = execute_concurrent_with_args(
            self._session, self._prepared["item"], [(tenant, one) for one in wanted],
            concurrency=CONCURRENCY,
        )  # fmt: skip
        found = {one: rows.one() for one, (_, rows) in zip(wanted, results, strict=True)}
        return {
            one: ItemFacts(row.title or one, row.available is not False)
            for one, row in found.items()
            if row is not None
        }

    def profile(self, tenant: str, user: str) -> Profile | None:
        """A user's profile, if there is one."""
        row = self._one("profile", tenant, user)
        return row and Profile(
            as_of_ms=_ms(row.as_of), counts=dict(row.counts or {}), recent=list(row.recent or ()),
            interests=_weighted(row.interests), tags=_weighted(row.tags), mood=dict(row.mood or {}),
        )  # fmt: skip

    def knows(self, tenant: str, user: str) -> bool:
        """Whether any row of a user is there."""
        return bool(self._one("surfaces", tenant, user) or self._one("profile", tenant, user))

    def surfaces(self, tenant: str, user: str) -> list[str]:
        """Surfaces that a user has a list for."""
        found = self._session.execute(self._prepared["surfaces"], (tenant, user))
        return sorted(row.surface for row in found)

    def rows_of(self, tenant: str, user: str) -> dict[str, int]:
        """How many rows of a user there are, by table."""
        profile = self._one("profile", tenant, user)
        lists = len(self.surfaces(tenant, user))
        return {"recommendations": lists, "profiles": int(profile is not None)}

    def _one(self, statement: str, *values: str) -> Any:
        return self._session.execute(self._prepared[statement], values).one()


def _items(items: Any) -> list[ListedItem]:
    return [
        ListedItem(
            item_id=one.item_id, score=one.score, item_score=one.item_score, source=one.source,
            seed=one.seed, reason=one.reason, propensity=one.propensity,
        )
        for one in items or ()
    ]  # fmt: skip


def _weighted(found: Any) -> list[Weighted]:
    return [
        Weighted(
            one.name, one.weight, getattr(one, "item_id", None), getattr(one, "sentiment", None)
        )
        for one in found or ()
    ]  # fmt: skip


def _ms(time: datetime) -> int:
    """The driver gives UTC without saying so."""
    return round(time.replace(tzinfo=UTC).timestamp() * 1000)


@contextlib.contextmanager
def opened(settings: Cassandra) -> Iterator[Store]:
    """A store on the Cassandra of the settings, closed at the end.

    Raises:
        StoreError: It does not answer, or lacks the tables.
    """
    from cassandra import DriverException, InvalidRequest
    from cassandra.cluster import NoHostAvailable

    where = f"{', '.join(settings.hosts)}:{settings.port}"
    password = cassandra_password(settings) if settings.user else None
    try:
        with schema.connected(
            settings.hosts, settings.port, settings.user or None, password, settings.tls_ca
        ) as session:
            yield Store(session, settings.keyspace)
    except NoHostAvailable as error:
        raise StoreError(cassandra_trouble(settings, error.errors.values())) from error
    except InvalidRequest as error:
        msg = f"Cassandra at {where} lacks the tables ({error}): `headwater up` creates them"
        raise StoreError(msg) from error
    except DriverException as error:
        msg = f"Cassandra at {where} failed a read: {error}"
        raise StoreError(msg) from error
