"""Asks for the erasure of a user and waits until the rows are gone."""

import time
import uuid
from collections.abc import Callable
from typing import Protocol

from deploy.errors import HeadwaterError
from operators.events import Erase, Event

TIMEOUT_S = 60.0
POLL_S = 0.2


class ErasureError(HeadwaterError):
    """The event did not reach Kafka, or the rows stay."""


class Sender(Protocol):
    """What is used of `deploy.replay.produce.Producer`."""

    first_failure: str

    def send_event(self, event: Event) -> None:
        """Sends an event."""

    def flush(self) -> int:
        """Waits for all of them; the number that failed."""


def ask(sender: Sender, tenant: str, user: str, now_ms: int) -> Erase:
    """Send the event: all of the user up to now is to be forgotten.

    Raises:
        ErasureError: It did not arrive.
    """
    event = Erase(
        event_id=f"erase-{uuid.uuid4().hex}", event_time=now_ms, user_id=user, tenant=tenant
    )
    sender.send_event(event)
    if sender.flush():
        msg = f"the erase event of {user} did not reach Kafka: {sender.first_failure}"
        raise ErasureError(msg)
    return event


def until_gone(
    is_there: Callable[[], bool],
    user: str,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """Wait until no row of the user is there; gives the seconds it took.

    Raises:
        ErasureError: They stay.
    """
    began_s = clock()
    while is_there():
        if clock() - began_s > TIMEOUT_S:
            msg = (
                f"rows of {user} are still there after {TIMEOUT_S:.0f} s; the event is in Kafka "
                "and counts as soon as a recommend job reads it: see `headwater submit recommend`"
            )
            raise ErasureError(msg)
        sleep(POLL_S)
    return clock() - began_s
