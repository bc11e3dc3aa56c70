"""How fast a core is at a moment: the CPU time that one pass of a loop takes, always the same one.

CPU seconds compare only at the same speed. A virtual core may be one of two threads of a real one,
whose other thread works for the core beside it or for somebody else's machine: each then does half
as much in a second of CPU. Neither the load nor the time stolen by the host tells of that.
"""

import time
from statistics import median

PASSES = 100_000
"""Some milliseconds: long for the clock, and of no weight every few seconds."""
LOOKS = 15


def pass_ns() -> float:
    """CPU nanoseconds a pass takes now on the core of this thread."""
    began_ns, total = time.thread_time_ns(), 0
    for number in range(PASSES):
        total += number
    return (time.thread_time_ns() - began_ns) / PASSES


def usual_pass_ns() -> float:
    """Median of some looks in a row."""
    return median(pass_ns() for _ in range(LOOKS))
