"""What is sent before the state is saved, and after: the same for every release."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from operators.describing import featured, written
from operators.events import Border, Item, Preferences
from operators.features_wire import ItemFeatures, Named, Near, TextSignal, encode, on_wire
from tests.builders import erase, event, listing, user_update

START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
USERS = [f"u{n}" for n in range(12)]
QUIET, GONE, PICKY = "quiet", "gone", "picky"
"""Who wants no profile; who was erased; who has refused an item."""

ITEMS = [f"i{n}" for n in range(24)]
SOLD_OUT, REFUSED = "i23", "i2"
TURNS = 2


class Sent(NamedTuple):
    """A record by the kind of its topic."""

    topic: str
    key: str
    record: Any

    def value(self) -> bytes:
        """As Kafka gets it."""
        plain = isinstance(self.record, ItemFeatures | TextSignal)
        return encode(self.record) if plain else msgspec.json.encode(self.record)

    def message(self) -> Any:
        """As the stages get it."""
        if isinstance(self.record, ItemFeatures):
            return featured(self.key.encode(), self.value(), 0, 2**50, Border())
        if isinstance(self.record, TextSignal):
            return written(self.value(), 2**50, Border())
        return self.record


def before(tenant: str) -> list[Sent]:
    """Catalogue, features, events, texts; an item sells out, a user is erased, one is refused."""
    return [*_catalogue(tenant), *_events(tenant), *_texts(tenant), *_special(tenant)]


def turn(tenant: str, number: int) -> tuple[list[Sent], list[Sent]]:
    """What is sent afterwards, in two parts; the second one waits for the lists of the first.

    All events of before come once more and must count nothing; so does one of the erased user,
    from before the erasure. Lists are switched off and on again, so that they are written anew; new
    users ask for the neighbours of every item.
    """
    at_ms = START_MS + (10 + number) * MINUTE_MS
    off, on = (
        [_event(user_update(user, at_ms + step, tenant=tenant, personalise=bool(step),
                            event_id=f"t{number}-{step}-{user}"))
         for user in USERS]
        for step in (0, 1)
    )  # fmt: skip
    late = event(GONE, "i0", START_MS + 1, event_id=f"late{number}", tenant=tenant)
    probes = [
        _event(event(f"p{number}-{item}", item, at_ms, event_id=f"p{number}-{item}", tenant=tenant))
        for item in ITEMS[:-1]
    ]
    quiet = event(QUIET, f"i{number}", at_ms, event_id=f"q{number}", tenant=tenant)
    picky = event(PICKY, f"i{number + 12}", at_ms, event_id=f"k{number}", tenant=tenant)
    again = [*_events(tenant), _event(late)]
    return [*again, *off, *probes], [*on, _event(quiet), _event(picky)]


def _event(record: Any) -> Sent:
    return Sent("headwater.events", record.user_id, record)


def _item(record: Item) -> Sent:
    return Sent("headwater.items", record.item_id, record)


def _catalogue(tenant: str) -> Iterator[Sent]:
    for n, item in enumerate(ITEMS):
        yield _item(listing(item, START_MS, categories=[f"c{n % 3}"], tenant=tenant))
    for n, item in enumerate(ITEMS):
        angles = np.arange(8) * (n + 1) / 5
        vector = np.cos(angles) / np.linalg.norm(np.cos(angles))
        near = [Near(ITEMS[(n + step) % len(ITEMS)], 0.9 - step / 10) for step in (1, 2)]
        record = ItemFeatures(
            item_id=item, event_time=START_MS, model="m/1", tenant=tenant,
            vector=on_wire(vector.astype("f4")), language="en", topics=[],
            tags=[Named(f"t{n % 4}", 0.5)], sentiment=0.0, neighbours=near,
        )  # fmt: skip
        yield Sent("headwater.item-features", item, record)


def _events(tenant: str) -> Iterator[Sent]:
    for place in range(8):
        for number, user in enumerate(USERS):
            item = (number % 2) * 12 + (number * 5 + place * 7) % 12
            action = ("view", "like", "purchase")[(number + place) % 3]
            at_ms = START_MS + 100 * (place * len(USERS) + number)
            name = f"e{place}-{user}"
            yield _event(event(user, f"i{item}", at_ms, action, event_id=name, tenant=tenant))
    for user in (QUIET, GONE, PICKY):
        for item in ("i0", "i7"):
            at_ms, name = START_MS + 2 * MINUTE_MS, f"e-{user}-{item}"
            yield _event(event(user, item, at_ms, event_id=name, tenant=tenant))


def _texts(tenant: str) -> Iterator[Sent]:
    for user in USERS[:3]:
        record = TextSignal(
            event_id=f"text-{user}", event_time=START_MS + 3 * MINUTE_MS, user_id=user,
            item_id="i0", language="en", sentiment=0.5, emotions={"joy": 0.5}, topics=[],
            tags=[Named(f"said-{user}", 0.5)], vector=[], action="comment", tenant=tenant,
        )  # fmt: skip
        yield Sent("headwater.text-signals", user, record)


def _special(tenant: str) -> Iterator[Sent]:
    at_ms = START_MS + 4 * MINUTE_MS
    yield _item(listing(SOLD_OUT, at_ms, categories=["c2"], available=False, tenant=tenant))
    yield _event(user_update(QUIET, at_ms, personalise=False, event_id="s-quiet", tenant=tenant))
    blocked = Preferences(blocked_categories=["c1"])
    yield _event(user_update(PICKY, at_ms, preferences=blocked, event_id="s-picky", tenant=tenant))
    yield _event(event(PICKY, REFUSED, at_ms + 1, "hide", event_id="h-picky", tenant=tenant))
    yield _event(erase(GONE, at_ms, event_id="x-gone", tenant=tenant))


def everybody() -> list[str]:
    """All users of all turns."""
    probes = [f"p{number}-{item}" for number in range(1, TURNS + 1) for item in ITEMS[:-1]]
    return [*USERS, QUIET, GONE, PICKY, *probes]
