"""The topics of a running system up to a time, as the files that a replay reads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeGuard

import msgspec
from msgspec import Struct

from deploy.evaluation.sources import EvaluationError
from deploy.evaluation.stream import Catalogue
from deploy.records import UnreadError, records
from jobs.settings import Kafka
from operators.events import Border, Item, Rejected, parse_event, parse_item

_ALWAYS_MS = 2**53


class Fetched(Struct, kw_only=True):
    """What was found.

    Attributes:
        events: Written, with a time up to the asked one.
        refused: Records that keep no contract; the job refused them then, too.
        deleted: Deletions of items, which a file cannot hold: their items may be listed.
    """

    events: int = 0
    refused: int = 0
    deleted: int = 0

    def notes(self) -> list[str]:
        """What a person should know of it."""
        said = {
            "records that keep no contract, refused then as now": self.refused,
            "deletions of items are not replayed, what they took away may be listed": self.deleted,
        }
        return [f"{count:,} {what}" for what, count in said.items() if count]


def fetch(
    kafka: Kafka, tenant: str, at_ms: int, folder: Path, on_record: Callable[[int], object]
) -> tuple[Fetched, Catalogue]:
    """Write FOLDER/events in order of time and FOLDER/items, up to and including a time.

    Those of one tenant: nothing of another one's moves its lists.

    Raises:
        EvaluationError: Kafka does not answer or has no such topic.
    """
    found, catalogue, border = Fetched(), Catalogue(titles={}, categories={}), Border()
    encode = msgspec.json.encode
    events: list[tuple[int, str, bytes]] = []
    for number, raw in enumerate(_values(kafka, kafka.events)):
        on_record(number)
        event = parse_event(raw, _ALWAYS_MS, border)
        if isinstance(event, Rejected):
            found.refused += 1
        elif event.event_time <= at_ms and event.tenant == tenant:
            events.append((event.event_time, event.event_id, encode(event)))
    events.sort()
    found.events = len(events)
    (folder / "events").write_bytes(b"".join(line + b"\n" for _, _, line in events))
    with (folder / "items").open("wb") as file:
        for raw in _values(kafka, kafka.items):
            item = parse_item(raw, _ALWAYS_MS, border)
            if raw is None:
                found.deleted += 1
            elif _is_listed(item, tenant, at_ms):
                catalogue.add(item)
                file.write(encode(item) + b"\n")
    return found, catalogue


def _is_listed(item: Item | Rejected, tenant: str, at_ms: int) -> TypeGuard[Item]:
    return isinstance(item, Item) and item.tenant == tenant and item.event_time <= at_ms


def _values(kafka: Kafka, topic: str) -> Iterator[bytes | None]:
    """Values of all records that a topic has now."""
    try:
        for message in records(kafka, [topic], needed=True):
            yield message.value()
    except UnreadError as error:
        msg = (
            f"topic {topic}: {error}. --config names the settings with its address; with a data "
            "set instead, no Kafka is needed"
        )
        raise EvaluationError(msg) from error
