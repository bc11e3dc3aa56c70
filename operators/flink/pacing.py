"""How long a live stage gathers batches before it works on them: not at all while it keeps up.

A batch has its price, whatever is in it: a call out of the JVM and back, a note in the journal, a
row for every bucket behind, and a list for every user in it. Under more load than it can bear, a
stage with windows of a fixed length pays that price ten times a second for a few events each, and
falls behind for good. So it watches what part of its time it works. Where that is most of it, it
gathers twice as long every time it looks: batches grow, a user's several events become one list,
and what it cannot do early it does late. Where it is not, it gathers less, and soon not at all.

Up fast and down slowly, as TCP goes down fast and up slowly (Chiu and Jain, 1989), and for the same
reason: it settles a little above what the load needs instead of swinging about it.
"""

import time
from collections.abc import Callable

LOOKS_EVERY_NS = 500_000_000
BUSY, IDLE = 0.67, 0.35
"""Shares of its time: above the one a stage gathers longer, below the other half as long."""
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
        self._looked_ns = clock_ns()

    def worked(self, busy_ns: int) -> None:
        """Note that the stage has worked for so long just now."""
        self._busy_ns += busy_ns

    def hold_ms(self) -> int:
        """How long a batch that comes now waits for others."""
        now_ns = self._clock_ns()
        passed_ns = now_ns - self._looked_ns
        if passed_ns >= LOOKS_EVERY_NS:
            self._look(self._busy_ns / passed_ns, passed_ns // LOOKS_EVERY_NS)
            self._looked_ns, self._busy_ns = now_ns, 0
        return self._hold_ms

    def _look(self, share: float, periods: int) -> None:
        """Gather longer or shorter; a long time without a batch counts for many looks."""
        if share > BUSY:
            self._hold_ms = min(self._max_ms, max(FIRST_MS, 2 * self._hold_ms))
            return
        less_ms = self._hold_ms * 7 // 8
        self._hold_ms = less_ms if share > IDLE else self._hold_ms >> min(periods, 32)
        if self._hold_ms < FIRST_MS:
            self._hold_ms = 0
