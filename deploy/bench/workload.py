"""Events ready to send but for their time: JSON without `event_time`, which the sender adds.

The time is added as text at the end of the object, so that an event costs the sender a copy of
its bytes and no encoding while it keeps a schedule.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Struct

from deploy.bench.options import Synthetic
from deploy.bench.synthetic import Population, Sessions
from operators.events import Interaction, Item, subject_of


class Ready(NamedTuple):
    """An event to send: whose it is, and its JSON without the time and the closing bracket."""

    subject: str
    body: bytes


class Listing(NamedTuple):
    """An item to send, likewise."""

    item: str
    body: bytes


class Workload(Protocol):
    """Where events come from."""

    def catalogue(self) -> Iterator[Listing]:
        """The items that are known from the beginning."""

    def events(self) -> Iterator[Ready | Listing]:
        """Events in order, each item before the first event on it if it was not in the catalogue.

        It may end; then there are no more events.
        """


def stamped(body: bytes, time_ms: int) -> bytes:
    """The whole record.

    >>> stamped(b'{"item_id":"i"', 5)
    b'{"item_id":"i","event_time":5}'
    """
    return b'%b,"event_time":%d}' % (body, time_ms)


class _Event(Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="interaction"):
    # The contract's fields without its checks, which cost more than the encoding.
    event_id: str
    tenant: str
    user_id: str
    item_id: str | None = None
    action: str
    text: str | None = None
    surface: str = ""


_ENCODE = msgspec.json.Encoder().encode


def user_name(number: int) -> str:
    """Id of a made-up user."""
    return f"u{number:07d}"


def item_name(number: int) -> str:
    """Id of a made-up item."""
    return f"i{number:06d}"


class SyntheticWorkload:
    """Sessions of a made-up population.

    Args:
        settings: Of the population.
        tenant: Of every record.
        rate_per_s: By which sessions are interleaved.
    """

    def __init__(self, settings: Synthetic, tenant: str, rate_per_s: float) -> None:
        self._population = Population(settings)
        self._sessions = Sessions(self._population, rate_per_s)
        self._tenant, self._actions = tenant, list(settings.actions)

    def catalogue(self) -> Iterator[Listing]:
        for number, cluster in enumerate(self._population.cluster_of.tolist()):
            yield listing(self._tenant, number, f"category {cluster}")

    def events(self) -> Iterator[Ready]:
        made = 0
        for chunk in self._sessions.chunks():
            columns = zip(
                chunk.users.tolist(), chunk.items.tolist(), chunk.actions.tolist(), strict=True
            )
            for user, item, action in columns:
                yield event(self._tenant, made, user, item, self._actions[action])
                made += 1


def event(tenant: str, number: int, user: int, item: int, action: str) -> Ready:
    """The made-up event of a number."""
    name = user_name(user)
    event_id = f"e{number:09d}-{user:07d}"
    return Ready(name, event_body(tenant, event_id, name, item_name(item), action))


def event_body(tenant: str, event_id: str, user: str, item: str, action: str) -> bytes:
    """An interaction without its time."""
    search = action == "search"
    body = _ENCODE(
        _Event(
            event_id=event_id, tenant=tenant, user_id=user, action=action, surface="home",
            item_id=None if search else item, text="something" if search else None,
        )
    )  # fmt: skip
    return body[:-1]


def listing(tenant: str, number: int, category: str) -> Listing:
    """The catalogue record of a made-up item."""
    name = item_name(number)
    record = {
        "tenant": tenant, "item_id": name, "title": f"Item {number}", "categories": [category]
    }  # fmt: skip
    return Listing(name, _ENCODE(record)[:-1])


class SourceWorkload:
    """The events of a data set in their order; their own times are left out.

    Args:
        place: File or folder that the replay's readers know.
        tenant: Of every record.
    """

    def __init__(self, place: Path, tenant: str) -> None:
        from deploy.replay.options import Options
        from deploy.replay.readers import open_source

        self._source = open_source(place, Options(tenant=tenant))

    def catalogue(self) -> Iterator[Listing]:
        return iter(())

    def events(self) -> Iterator[Ready | Listing]:
        for record in self._source.records():
            if isinstance(record, Item):
                yield Listing(record.item_id, _without_time(record))
            else:
                yield Ready(subject_of(record) or "", _without_time(record))


def _without_time(record: Interaction | Item) -> bytes:
    fields = msgspec.to_builtins(record)
    del fields["event_time"]
    return _ENCODE(fields)[:-1]
