"""How long a live stage gathers batches before it works on them: not at all while it keeps up.

A batch has its price, whatever is in it: a call out of the JVM and back, a note in the journal, a
row for every bucket behind, and a list for every user in it. Under more load than it can bear, a
stage with windows of a fixed length pays that price ten times a second for a few events each, and
falls behind for good. So it watches what part of its time it works. Where that is most of it, it
gathers twice as long every time it looks: batches grow, a user's several events become one list,
and what it cannot do early it does late. Where it is not, it gathers less, and soon not at all.

Where hardly a user has two events in what is gathered, that saves the price of batches alone, most
of it in the first few; so what is fresh waits for a quarter of a second at the most. What is late
already, by a backlog, is gathered much sooner and longer: stages that share an interpreter keep
each other waiting, so none of them may be at work most of its time although all they have is used,
and a list of many seconds ago loses little by two more. What is fresh waits for nothing of that,
and takes along what its bucket has gathered.

Up fast and down slowly, as TCP goes down fast and up slowly (Chiu and Jain, 1989), and for the same
reason: it settles a little above what the load needs instead of swinging about it. But where
nothing came for a while, all that there was to do is done, and the next batch does not wait.
"""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

LOOKS_EVERY_NS = 500_000_000
LATE_MS = 5_000
"""Older than this, a message is late: it waited elsewhere for longer than all stages let it."""
FIRST_MS = 125
"""Nothing shorter is worth a timer."""


class Rule(NamedTuple):
    """When a stage gathers longer.

    Attributes:
        busy, idle: Shares of its time: above the one it gathers twice as long, below the other half
            as long.
        most_ms: And never longer, nor than the setting says.
    """

    busy: float
    idle: float
    most_ms: int


FRESH, LATE = Rule(0.8, 0.4, 250), Rule(0.25, 0.12, sys.maxsize)
"""For batches in which something is fresh, and for those in which all is late."""


class Hold(NamedTuple):
    """How long a batch that comes now waits for others: one with a fresh message, one without."""

    fresh_ms: int
    late_ms: int


class Pace:
    """What part of its time a stage works, and how long it gathers for that.

    Args:
        hold_max_ms: It never gathers longer; 0 for not at all.
        clock_ns: Monotonic, of any beginning.
    """

    def __init__(self, hold_max_ms: int, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._max_ms, self._clock_ns = hold_max_ms, clock_ns
        self._hold = Hold(0, 0)
        self._busy_ns = 0
        self._looked_ns = self._came_ns = clock_ns()

    def worked(self, busy_ns: int) -> None:
        """Note that the stage has worked for so long just now."""
        self._busy_ns += busy_ns
        self._came_ns += busy_ns

    def hold(self) -> Hold:
        """How long a batch that comes now waits for others."""
        now_ns = self._clock_ns()
        quiet_ns, self._came_ns = now_ns - self._came_ns, now_ns
        passed_ns = now_ns - self._looked_ns
        if quiet_ns > LOOKS_EVERY_NS:
            self._hold = Hold(0, 0)
        elif passed_ns >= LOOKS_EVERY_NS:
            share = self._busy_ns / passed_ns
            fresh_ms, late_ms = self._hold
            self._hold = Hold(
                self._next_ms(fresh_ms, share, FRESH), self._next_ms(late_ms, share, LATE)
            )
        else:
            return self._hold
        self._looked_ns, self._busy_ns = now_ns, 0
        return self._hold

    def _next_ms(self, hold_ms: int, share: float, rule: Rule) -> int:
        """Longer or shorter."""
        if share > rule.busy:
            return min(self._max_ms, rule.most_ms, max(FIRST_MS, 2 * hold_ms))
        less_ms = hold_ms * 7 // 8 if share > rule.idle else hold_ms // 2
        return less_ms if less_ms >= FIRST_MS else 0
