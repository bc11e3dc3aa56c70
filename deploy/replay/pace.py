"""Holds records back so that event time runs at a multiple of real time."""

import time
from collections.abc import Callable


class Pace:
    """A clock that is `speed` times as fast as real time, begun by the first record.

    A stream that is late catches up as fast as it can; nothing is left out.

    >>> now = [0.0]
    >>> pace = Pace(60, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    >>> pace.wait(1_000_000), pace.wait(1_060_000), now[0]
    (None, None, 1.0)
    """

    def __init__(
        self,
        speed: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Set the speed.

        Args:
            speed: Event seconds a real second; None never waits.
            clock: Gives seconds.
            sleep: Waits for seconds.
        """
        self._speed, self._clock, self._sleep = speed, clock, sleep
        self._began: tuple[float, int] | None = None

    def wait(self, event_time_ms: int) -> None:
        """Wait until the event's time has come."""
        if self._speed is None:
            return
        now_s = self._clock()
        if self._began is None:
            self._began = now_s, event_time_ms
        began_s, first_ms = self._began
        ahead_s = began_s + (event_time_ms - first_ms) / 1000 / self._speed - now_s
        if ahead_s > 0:
            self._sleep(ahead_s)
