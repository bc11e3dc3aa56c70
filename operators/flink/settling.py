"""When a live bucket says what it holds back: every so often, and in pieces.

Profiles and similar items may be a little old, so that they do not hold up lists. Behind a load of
a catalogue, thousands of items have new rows: in one go that is seconds in which no stage of the
worker does anything else. So no more than a piece of them is settled at a time. A bucket with work
goes on at its next time; an idle one in a moment, when whatever came meanwhile has had its turn.
"""

from typing import Literal

from pyflink.datastream.timerservice import TimerService

SETTLED_MAX, SETTLED_MIN = 800, 50
"""Keys that all buckets of a stage settle at one time together, and that each of them does."""

SOON_MS = 50

Due = Literal["", "busy", "idle"]
"""What a timer is for: nothing of this, or a settlement of a bucket with other work, or without."""


def is_period(time_ms: int, settle_ms: int) -> bool:
    """Whether a timer of this time is for a settlement."""
    return time_ms % settle_ms == 0


def beside(time_ms: int, settle_ms: int) -> int:
    """A time for a timer that is for anything else: this one, or the millisecond after."""
    return time_ms + is_period(time_ms, settle_ms)


def settled_max(buckets: int) -> int:
    """Keys of a piece.

    A journal notes that a piece was settled and not how large it was, so this may only depend on
    what is fixed with the state.
    """
    return max(SETTLED_MIN, SETTLED_MAX // buckets)


class Settling:
    """The times of a stage's buckets.

    What it knows is in memory alone. After a restore the timers at whole periods are still there,
    and an idle bucket of which a part was settled goes on at the next of them.

    Args:
        settle_ms: Period; timers at its multiples are for this and for nothing else.
    """

    def __init__(self, settle_ms: int) -> None:
        self._settle_ms = settle_ms
        self._worked: set[int] = set()
        self._timed: set[int] = set()
        self._soon_ms: dict[int, int] = {}

    def worked(self, bucket: int, timers: TimerService) -> None:
        """A bucket has had work: its time is the end of this period."""
        self._worked.add(bucket)
        self.next(bucket, timers)

    def next(self, bucket: int, timers: TimerService) -> None:
        """Come to a bucket at the end of this period, unless that is arranged."""
        if bucket in self._timed:
            return
        self._timed.add(bucket)
        now_ms = timers.current_processing_time()
        timers.register_processing_time_timer((now_ms // self._settle_ms + 1) * self._settle_ms)

    def soon(self, bucket: int, timers: TimerService) -> None:
        """Come to an idle bucket again in a moment, and in any case at the end of the period."""
        then_ms = timers.current_processing_time() + SOON_MS
        self._soon_ms[bucket] = beside(then_ms, self._settle_ms)
        timers.register_processing_time_timer(self._soon_ms[bucket])
        self.next(bucket, timers)

    def due(self, bucket: int, time_ms: int) -> Due:
        """What the timer of this time is for."""
        if is_period(time_ms, self._settle_ms):
            busy = bucket in self._worked
            self._worked.discard(bucket)
            self._timed.discard(bucket)
            return "busy" if busy else "idle"
        mine = self._soon_ms.get(bucket) == time_ms and bucket not in self._worked
        return "idle" if mine else ""
