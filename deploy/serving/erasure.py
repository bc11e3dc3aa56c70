"""Asks for the erasure of a user and waits until the rows are gone."""

import time
import uuid
from collections.abc import Callable

import msgspec

from deploy.errors import HeadwaterError
from deploy.sending import Client, undelivered
from operators.events import Erase

TIMEOUT_S = 60.0
POLL_S = 0.2


class ErasureError(HeadwaterError):
    """The event did not reach Kafka, or the rows stay."""


def ask(client: Client, topic: str, tenant: str, user: str, now_ms: int) -> Erase:
    """Send the event: all of the user up to now is to be forgotten.

    Raises:
        ErasureError: It did not arrive.
    """
    event = Erase(
        event_id=f"erase-{uuid.uuid4().hex}", event_time=now_ms, user_id=user, tenant=tenant
    )
    if why := undelivered(client, topic, user, msgspec.json.encode(event)):
        msg = f"the erase event of {user} did not reach Kafka ({why}): does it run?"
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
