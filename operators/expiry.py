"""Forgetting what has been idle for long, a little with every message.

Keys are noted under the time at which they fall due, in chunks; a key that is seen again is noted
once more under a later time, and its old note is void. Each message looks at the notes that are
due, at most `SWEEP` of them: the work of an event does not grow with what there is to forget, and
what is true depends on the order of the messages alone, not on how they were cut into batches.
Time is that of the events: a bucket that gets none forgets nothing, and grows by nothing.
"""

from typing import Protocol

from msgspec import Struct, field

from operators.stage import Table, append

CHUNK = 64
SWEEP = 2
GRAINS = 16
"""A time to fall due is rounded up to this part of the idle time: that often a key is noted."""

CLOCK_STEP_MS = 1000


class Wheel(Struct, array_like=True):
    """Which notes there are.

    Attributes:
        now_ms: The latest event time so far, in steps of a second.
        filled: Number of notes by the time they are due.
        done: How many of the earliest ones have been looked at.
    """

    now_ms: int = -1
    filled: dict[int, int] = field(default_factory=dict)
    done: int = 0


def due_ms(last_ms: int, idle_ms: int, now_ms: int) -> int:
    """When a key last seen at `last_ms` falls due: rounded up, and later than now.

    >>> due_ms(1000, 1600, 0), due_ms(1001, 1600, 0), due_ms(0, 1600, 5000)
    (2600, 2700, 5100)
    """
    grain = max(1, idle_ms // GRAINS)
    return max(-(-(last_ms + idle_ms) // grain), now_ms // grain + 1) * grain


def note(due: Table[list[str]], wheel: Wheel, key: str, at_ms: int) -> None:
    """Note a key under the time at which it falls due; the wheel has to be kept by the caller."""
    count = wheel.filled.get(at_ms, 0)
    append(due, f"{at_ms}:{count // CHUNK}", key)
    wheel.filled[at_ms] = count + 1


class Notes(Protocol):
    """The state of a stage that forgets: its notes, and its wheel under the empty key."""

    due: Table[list[str]]
    wheel: Table[Wheel]


class Forgettable(Protocol):
    """What is to be forgotten; `due_ms` is the latest time that it is noted under."""

    due_ms: int


def keep(
    state: Notes, wheel: Wheel, key: str, one: Forgettable, last_ms: int, idle_ms: int
) -> None:
    """Note when a key last seen at `last_ms` is to be forgotten, if that is later than noted.

    The caller has to keep `one`.
    """
    at_ms = due_ms(last_ms, idle_ms, wheel.now_ms)
    if at_ms > one.due_ms:
        note(state.due, wheel, key, at_ms)
        state.wheel.put("", wheel)
        one.due_ms = at_ms


def advance(wheel: Wheel, time_ms: int) -> bool:
    """Move the clock on; whether the wheel has changed or has notes that are due."""
    if time_ms >= wheel.now_ms + CLOCK_STEP_MS:
        wheel.now_ms = time_ms // CLOCK_STEP_MS * CLOCK_STEP_MS
        return True
    return bool(wheel.filled) and min(wheel.filled) <= wheel.now_ms


def overdue(due: Table[list[str]], wheel: Wheel) -> list[tuple[str, int]]:
    """The next notes that are due, each with its time; they are void from now on."""
    found: list[tuple[str, int]] = []
    while wheel.filled and len(found) < SWEEP:
        first = min(wheel.filled)
        if first > wheel.now_ms:
            break
        chunk, place = f"{first}:{wheel.done // CHUNK}", wheel.done % CHUNK
        found.append(((due.get(chunk) or [])[place], first))
        wheel.done += 1
        last = wheel.done == wheel.filled[first]
        if last or wheel.done % CHUNK == 0:
            due.delete(chunk)
        if last:
            del wheel.filled[first]
            wheel.done = 0
    return found
