"""Takes tags off a user's profile, or lets them come back, and waits for the row without them."""

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from deploy.errors import HeadwaterError
from deploy.sending import Client, undelivered
from deploy.serving.store import Profile
from operators.events import UserUpdate

TIMEOUT_S = 60.0
POLL_S = 0.2


class HidingError(HeadwaterError):
    """The event did not reach Kafka, or no row comes."""


def changed(
    records: Iterable[Any], tenant: str, user: str, hide: Collection[str], show: Collection[str],
    now_ms: int,
) -> UserUpdate:  # fmt: skip
    """The user's settings with other hidden tags; all else stays as the user last sent it.

    Args:
        records: Decoded records of the events that are about the user.
        tenant: Whose.
        user: Who.
        hide: Tags to be hidden beside those that are.
        show: Tags that may come back.
        now_ms: The clock.
    """
    known = sorted(_updates(list(records)), key=lambda one: (one.event_time, one.event_id))
    told = [one.preferences.hidden_tags for one in known]
    before = next((tags for tags in reversed(told) if tags is not None), [])
    event_id = f"tags-{uuid.uuid4().hex}"
    last = known[-1] if known else None
    plain = UserUpdate(event_id=event_id, event_time=now_ms, user_id=user, tenant=tenant)
    hidden = sorted({*before, *hide} - set(show))
    preferences = replace((last or plain).preferences, hidden_tags=hidden)
    return replace(last or plain, event_id=event_id, event_time=now_ms, preferences=preferences)


def _updates(records: Sequence[Any]) -> Iterator[UserUpdate]:
    """What the user has set since the last erasure; records that are no events are left out."""
    erased_ms = max(
        (one["event_time"] for one in records if one.get("kind") == "erase"), default=-1
    )
    for one in records:
        if one.get("kind") == "user":
            try:
                update = msgspec.convert(one, UserUpdate)
            except msgspec.ValidationError:
                continue
            if update.event_time > erased_ms:
                yield update


def send(client: Client, topic: str, event: UserUpdate) -> None:
    """Send the event.

    Raises:
        HidingError: It did not arrive.
    """
    if why := undelivered(client, topic, event.user_id, msgspec.json.encode(event)):
        msg = f"the settings of {event.user_id} did not reach Kafka ({why}): does it run?"
        raise HidingError(msg)


def until_hidden(
    profile: Callable[[], Profile | None],
    event: UserUpdate,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """Wait for a profile that knows of the event; gives the seconds it took.

    Raises:
        HidingError: None comes.
    """
    began_s = clock()
    while (found := profile()) is None or found.as_of_ms < event.event_time:
        if clock() - began_s > TIMEOUT_S:
            msg = (
                f"no new profile of {event.user_id} after {TIMEOUT_S:.0f} s; the event is in Kafka "
                "and counts as soon as a recommend job reads it: see `headwater submit recommend`"
            )
            raise HidingError(msg)
        sleep(POLL_S)
    return clock() - began_s
