"""When a live bucket says what it holds back: every so often, and in pieces.

Profiles and similar items may be a little old, so that they do not hold up lists. Behind a load of
a catalogue, thousands of items have new rows: in one go that is seconds in which no stage of the
worker does anything else. So no more than a piece of them is settled at a time. A bucket with work
goes on at its next time; an idle one in a moment, when whatever came meanwhile has had its turn.
Buckets have their times one after the other, and so have stages: what all of them say at one time
keeps the sink from the lists for half a second.
"""

from typing import Literal

from pyflink.datastream.timerservice import TimerService

SETTLED_MAX, SETTLED_MIN = 800, 50
"""Keys that all buckets of a stage settle together, each once, and that each of them does."""

SOON_MS = 50

Due = Literal["", "busy", "idle"]
"""What a timer is for: nothing of this, or a settlement of a bucket with other work, or without."""


def settled_max(buckets: int) -> int:
    """Keys of a piece.

    A journal notes that a piece was settled and not how large it was, so this may only depend on
    what is fixed with the state.
    """
    return max(SETTLED_MIN, SETTLED_MAX // buckets)


class Settling:
    """The times of a stage's buckets.

    What it knows is in memory alone. After a restore the timers are still there, of these times or
    of those that were in force before; an idle bucket of which a part was settled goes on then.

    Args:
        settle_ms: Period; timers at a bucket's own times are for this and for nothing else.
        buckets: Number of buckets; each has its times so much later than the one before it.
        offset_ms: How much later all of them have theirs.
    """

    def __init__(self, settle_ms: int, buckets: int = 1, offset_ms: int = 0) -> None:
        self._settle_ms, self._buckets, self._offset_ms = settle_ms, buckets, offset_ms
        self._worked: set[int] = set()
        self._timed: set[int] = set()
        self._begun: set[int] = set()
        self._soon_ms: dict[int, int] = {}

    def phase_ms(self, bucket: int) -> int:
        """The first of a bucket's times."""
        return (bucket * self._settle_ms // self._buckets + self._offset_ms) % self._settle_ms

    def is_period(self, bucket: int, time_ms: int) -> bool:
        """Whether a timer of this time is for a settlement."""
        return time_ms % self._settle_ms == self.phase_ms(bucket)

    def beside(self, bucket: int, time_ms: int) -> int:
        """A time for a timer that is for anything else: this one, or the millisecond after."""
        return time_ms + self.is_period(bucket, time_ms)

    def begin(self, bucket: int, timers: TimerService) -> None:
        """Come to a bucket once that a timer brings up first, whatever that timer is for."""
        if bucket not in self._begun:
            self._begun.add(bucket)
            self.next(bucket, timers)

    def worked(self, bucket: int, timers: TimerService) -> None:
        """A bucket has had work: its time is the end of this period."""
        self._worked.add(bucket)
        self.next(bucket, timers)

    def next(self, bucket: int, timers: TimerService) -> None:
        """Come to a bucket at the end of its period, unless that is arranged."""
        if bucket in self._timed:
            return
        self._timed.add(bucket)
        phase_ms = self.phase_ms(bucket)
        past = (timers.current_processing_time() - phase_ms) // self._settle_ms
        timers.register_processing_time_timer((past + 1) * self._settle_ms + phase_ms)

    def soon(self, bucket: int, timers: TimerService) -> None:
        """Come to an idle bucket again in a moment, and in any case at the end of the period."""
        then_ms = timers.current_processing_time() + SOON_MS
        self._soon_ms[bucket] = self.beside(bucket, then_ms)
        timers.register_processing_time_timer(self._soon_ms[bucket])
        self.next(bucket, timers)

    def due(self, bucket: int, time_ms: int) -> Due:
        """What the timer of this time is for."""
        if self.is_period(bucket, time_ms):
            busy = bucket in self._worked
            self._worked.discard(bucket)
            self._timed.discard(bucket)
            return "busy" if busy else "idle"
        mine = self._soon_ms.get(bucket) == time_ms and bucket not in self._worked
        return "idle" if mine else ""
