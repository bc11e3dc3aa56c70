"""How a test waits for what another process does."""

import time
from collections.abc import Callable


def wait_for(
    condition: Callable[[], object], what: str, seconds: float = 120, pause_s: float = 0.1
) -> None:
    """Look again and again; the test fails when it has not come true in time.

    Raises:
        AssertionError: It has not; the message says for what and for how long it was waited.
    """
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {seconds} s for {what}"
        time.sleep(pause_s)
