"""When each event is due: an open loop, which never waits for the system it measures.

Event k is due k / rate seconds after the beginning, and is stamped with that time, even if the
sender could not send it then. A system that makes the sender stall is charged for the delay of
every event that was due meanwhile; a loop that sent the next event after the last answer would
leave them out ("coordinated omission").
"""

import time
from collections.abc import Callable, Iterator

TICK_S = 0.01
"""Least sleep: events that fall due within it are sent together, so none early, none later."""

_ROUNDED_S = 1e-9
"""A clock may read this much before the time that was slept for: another tick would be too long."""


class OpenLoop:
    """Gives the events that are due, and sleeps in between.

    >>> now = [0.0]
    >>> loop = OpenLoop(2, lambda: now[0], lambda s: now.__setitem__(0, now[0] + s))
    >>> [(first, last, now[0]) for first, last in loop.batches(3)]
    [(0, 1, 0.0), (1, 2, 0.5), (2, 3, 1.0)]
    """

    def __init__(
        self,
        rate_per_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Begin now.

        Args:
            rate_per_s: Events a second.
            clock: Gives seconds.
            sleep: Waits for seconds.
        """
        self._rate, self._clock, self._sleep = rate_per_s, clock, sleep
        self.began_s = clock()

    def due_s(self, event: int) -> float:
        """When an event is due, on the loop's clock."""
        return self.began_s + event / self._rate

    def batches(self, count: int) -> Iterator[tuple[int, int]]:
        """Ranges (first, end) of events that are due, until `count` events were given."""
        first = 0
        while first < count:
            now_s = self._clock()
            passed_s = now_s - self.began_s + _ROUNDED_S
            end = min(count, int(passed_s * self._rate) + 1)
            if end > first:
                yield first, end
                first = end
            else:
                self._sleep(max(self.due_s(first) - now_s, TICK_S))
