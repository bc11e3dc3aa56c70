"""How long a live stage gathers late batches before it works on them: not at all if it keeps up.

A batch has its price, whatever is in it: a call out of the JVM and back, a note in the journal, a
row for every bucket behind, and a list for every user in it. Under more load than it can bear, a
stage with windows of a fixed length pays that price ten times a second, and falls behind for good.
So it watches what part of its time it works. Where that is much and what comes is late already, it
gathers twice as long every time it looks: batches grow, a user's several events become one list,
and a list of many seconds ago loses little by two more. Where it is little, it gathers less, and
soon not at all. A quarter of its time is much: stages that share an interpreter keep each other
waiting, so none of them may be at work most of its time although all they have is used.

What is fresh never waits, and takes along what its bucket has gathered. Hardly a user has two
events in a quarter of a second, and windows of a few buckets hold enough of them: measured at 1,000
events a second, waiting cost as much work as it saved, and lists were older by a quarter.

Up fast and down slowly, as TCP goes down fast and up slowly (Chiu and Jain, 1989), and for the same
reason: it settles a little above what the load needs instead of swinging about it. But where
nothing came for a while, all that there was to do is done, and the next batch does not wait.
"""

import time
from collections.abc import Callable

LOOKS_EVERY_NS = 500_000_000
LATE_MS = 2_000
"""Older than this, a message is late: it has waited for longer than all windows together let it."""
FIRST_MS = 125
"""Nothing shorter is worth a timer."""


BUSY, IDLE = 0.25, 0.12
"""Shares of its time: above the one a stage gathers twice as long, below the other half as long."""


class Pace:
    """What part of its time a stage works, and how long it gathers for that.

    Args:
        hold_max_ms: It never gathers longer; 0 for not at all.
        clock_ns: Monotonic, of any beginning.
    """

    def __init__(self, hold_max_ms: int, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._max_ms, self._clock_ns = hold_max_ms, clock_ns
        self._hold_ms = self._busy_ns = 0
        self._looked_ns = self._came_ns = clock_ns()

    def worked(self, busy_ns: int) -> None:
        """Note that the stage has worked for so long just now."""
        self._busy_ns += busy_ns
        self._came_ns += busy_ns

    def hold_ms(self) -> int:
        """How long a late batch that comes now waits for others; asked at every batch."""
        now_ns = self._clock_ns()
        quiet_ns, self._came_ns = now_ns - self._came_ns, now_ns
        passed_ns = now_ns - self._looked_ns
        if quiet_ns > LOOKS_EVERY_NS:
            self._hold_ms = 0
        elif passed_ns >= LOOKS_EVERY_NS:
            self._hold_ms = self._next_ms(self._busy_ns / passed_ns)
        else:
            return self._hold_ms
        self._looked_ns, self._busy_ns = now_ns, 0
        return self._hold_ms

    def _next_ms(self, share: float) -> int:
        """Longer or shorter."""
        if share > BUSY:
            return min(self._max_ms, max(FIRST_MS, 2 * self._hold_ms))
        less_ms = self._hold_ms * 7 // 8 if share > IDLE else self._hold_ms // 2
        return less_ms if less_ms >= FIRST_MS else 0
