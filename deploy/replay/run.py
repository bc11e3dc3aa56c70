"""A data set into Kafka, record by record, at a pace."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from deploy.replay.pace import Pace
from deploy.replay.readers import Source
from operators.events import Interaction, Item


class Sender(Protocol):
    """What a replay needs of `deploy.replay.produce.Producer`."""

    failed: int

    def send_event(self, event: Interaction) -> None:
        """Send an event."""

    def send_item(self, item: Item) -> None:
        """Send an item."""


class Sent(Struct):
    """What a replay has handed over so far.

    Attributes:
        items: Items.
        events: Events.
        broken_off: Whether it ended early because a record did not arrive.
    """

    items: int = 0
    events: int = 0
    broken_off: bool = False


def replay(
    source: Source,
    sender: Sender,
    pace: Pace,
    *,
    limit: int | None = None,
    shift_ms: int = 0,
    on_sent: Callable[[Sent], object] | None = None,
) -> Sent:
    """Send the records of a data set in event order.

    The first record that is known not to have arrived ends it: Kafka's client has tried for a
    minute by then, and what follows would fare no better.

    Args:
        source: The data set.
        sender: Sends.
        pace: Waits.
        limit: As in `Source.records`.
        shift_ms: As in `Source.records`.
        on_sent: Hears of the counts after every record.
    """
    sent = Sent()
    for record in source.records(limit, shift_ms):
        pace.wait(record.event_time)
        if isinstance(record, Item):
            sender.send_item(record)
            sent.items += 1
        else:
            sender.send_event(record)
            sent.events += 1
        if on_sent:
            on_sent(sent)
        if sender.failed:
            sent.broken_off = True
            break
    return sent
