"""How long a live stage gathers batches before it works on them: not at all while it keeps up.

A batch has its price, whatever is in it: a call out of the JVM and back, a note in the journal, a
row for every bucket behind, and a list for every user in it. Under more load than it can bear, a
stage with windows of a fixed length pays that price ten times a second for a few events each, and
falls behind for good. So it watches what part of its time it works. Where that is most of it, it
gathers twice as long every time it looks: batches grow, a user's several events become one list,
and what it cannot do early it does late. Where it is not, it gathers less, and soon not at all.

Stages that share an interpreter keep each other waiting, so none of them may be at work most of its
time although all they have is used. Where what comes is late already, by a backlog, that is reason
enough: a list of many seconds ago loses little by two more, and larger batches work off a backlog
sooner.

And where nothing has come for a while, a batch does not wait: what there was to do is done.

Up fast and down slowly, as TCP goes down fast and up slowly (Chiu and Jain, 1989), and for the same
reason: it settles a little above what the load needs instead of swinging about it.
"""

import time
from collections.abc import Callable

LOOKS_EVERY_NS = 500_000_000
BUSY, IDLE = 0.67, 0.35
"""Shares of its time: above the one a stage gathers longer, below the other half as long."""
BUSY_LATE, IDLE_LATE = 0.25, 0.12
"""The same while all that comes is late."""
LATE_MS = 10_000
"""Older than this, an event is late: it waited elsewhere for longer than all stages let it wait."""
NEVER_MS = 2**62
FIRST_MS = 125
"""Nothing shorter is worth a timer."""


class Pace:
    """What part of its time a stage works, and how long it gathers for that.

    Args:
        hold_max_ms: It never gathers longer; 0 for not at all.
        clock_ns: Monotonic, of any beginning.
    """

    def __init__(self, hold_max_ms: int, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._max_ms, self._clock_ns = hold_max_ms, clock_ns
        self._hold_ms = self._busy_ns = 0
        self._late_ms = NEVER_MS
        self._looked_ns = self._came_ns = clock_ns()

    def worked(self, busy_ns: int, late_ms: int) -> None:
        """Note that the stage has worked for so long just now.

        Args:
            busy_ns: How long.
            late_ms: Age of the newest message.
        """
        self._busy_ns += busy_ns
        self._late_ms = min(self._late_ms, late_ms)

    def hold_ms(self) -> int:
        """How long a batch that comes now waits for others."""
        now_ns = self._clock_ns()
        quiet_ns, self._came_ns = now_ns - self._came_ns, now_ns
        if quiet_ns > LOOKS_EVERY_NS:
            self._hold_ms = self._busy_ns = 0
            self._looked_ns, self._late_ms = now_ns, NEVER_MS
        passed_ns = now_ns - self._looked_ns
        if passed_ns >= LOOKS_EVERY_NS:
            self._look(self._busy_ns / passed_ns)
            self._looked_ns, self._busy_ns, self._late_ms = now_ns, 0, NEVER_MS
        return self._hold_ms

    def _look(self, share: float) -> None:
        """Gather longer or shorter."""
        late = self._late_ms > LATE_MS
        busy, idle = (BUSY_LATE, IDLE_LATE) if late else (BUSY, IDLE)
        if share > busy:
            self._hold_ms = min(self._max_ms, max(FIRST_MS, 2 * self._hold_ms))
            return
        less_ms = self._hold_ms * 7 // 8
        self._hold_ms = less_ms if share > idle else self._hold_ms // 2
        if self._hold_ms < FIRST_MS:
            self._hold_ms = 0
