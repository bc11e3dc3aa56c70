"""All stages of a worker on one core, where its environment names one.

They share Python's interpreter lock, so no two of them run at a time. Spread over cores, each of
the thousands of times a second that the lock changes hands wakes another core, which then fetches
what the stages keep from the cache of the one before. On one of two cores, lists of 700 events a
second were .7 s old instead of 1.2 s (median), and a backlog took a fourteenth less time.

It is the deployment that names a core, for it knows who else is there: two workers on one core
would take turns.
"""

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Set
from pathlib import Path

from operators.errors import HeadwaterError

STAGE_CORE = "HEADWATER_STAGE_CORE"
"""Environment variable of a TaskManager: number of a core; without it threads run anywhere."""

LOOKS_EVERY_S = 2.0
_TASKS, _PROGRAM = Path("/proc/self/task"), Path("/proc/self/exe")


class StageCore:
    """The core of a process's stages; each of their threads says that it is one.

    Args:
        environ: Of the process.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._threads: set[int] = set()
        self._core: set[int] = set()
        self._looked_s = time.monotonic()

    def keep(self) -> None:
        """Keep the calling thread, a task's, to the core that the environment names, if any.

        Raises:
            HeadwaterError: It names none of this process.
        """
        text = self._environ.get(STAGE_CORE, "")
        if not text:
            return
        cores = sorted(os.sched_getaffinity(os.getpid()))
        if text not in map(str, cores):
            legal = ", ".join(map(str, cores))
            msg = f"{STAGE_CORE} is {text!r}: legal are {legal}, this process's cores; or unset it"
            raise HeadwaterError(msg)
        self._threads.add(threading.get_native_id())
        self._core = {int(text)}
        os.sched_setaffinity(0, self._core)

    def leave(self) -> None:
        """The calling thread ends."""
        self._threads.discard(threading.get_native_id())

    def look(self) -> None:
        """Now and then, let threads run anywhere that a stage's thread has started.

        They begin on its core: those that copy a checkpoint would hold the stages up.
        """
        now_s = time.monotonic()
        if not self._threads or now_s < self._looked_s + LOOKS_EVERY_S:
            return
        self._looked_s = now_s
        anywhere = os.sched_getaffinity(os.getpid())
        for thread in {int(task.name) for task in _TASKS.iterdir()} - self._threads:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                if os.sched_getaffinity(thread) == self._core:
                    os.sched_setaffinity(thread, anywhere)


OF_PROCESS = StageCore()


def keep_process(pid: int, cores: Set[int]) -> None:
    """Keep a process to some cores: each of its threads, and those that they start from now on."""
    for _ in range(2):  # what was not kept yet may have started another meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)


def stay_off(environ: Mapping[str, str] = os.environ) -> None:
    """Keep a Python worker, a process beside its TaskManager, off the core of the stages.

    Nobody else can do what the stages do there: they have one core between them. Left to itself,
    the system lets others in while another core idles: of two, a quarter of one at 1,000 events a
    second. Inside a TaskManager, or where no core is named or there is no other, nothing is done.
    """
    others = {core for core in os.sched_getaffinity(0) if str(core) != environ.get(STAGE_CORE, "")}
    if environ.get(STAGE_CORE) and others and _PROGRAM.resolve().name.startswith("python"):
        keep_process(os.getpid(), others)
