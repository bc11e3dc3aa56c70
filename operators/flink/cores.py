"""All stages of a worker on one core, where its environment names one.

They share Python's interpreter lock, so no two of them run at a time. Spread over cores, each of
the thousands of times a second that the lock changes hands wakes another core, which then fetches
what the stages keep from the cache of the one before. On one of two cores, lists of 700 events a
second were .7 s old instead of 1.2 s (median), and a backlog took a fourteenth less time.

The worker's other threads, of Flink's windows, of RocksDB, those that compile and collect, run
anywhere: at a bearable load they find the stages' core free now and then, and kept off it, lists of
1,000 events a second were 1.7 s old instead of 1.5 s behind a checkpoint (p99). Under a backlog
they take an eighth of a core that the stages need whole while another is idle for a third. So they
are kept off it as long as it is full and others are not: 2,880 events of MovieLens a second instead
of 2,530, and 2,230 of made-up users instead of 2,100.

It is the deployment that names a core, for it knows who else is there: two workers on one core
would take turns.
"""

import contextlib
import os
import threading
import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from operators.errors import HeadwaterError

STAGE_CORE = "HEADWATER_STAGE_CORE"
"""Environment variable of a TaskManager: number of a core; without it threads run anywhere."""

LOOKS_EVERY_S = 2.0
FULL, ROOM = (0.1, 0.15), (0.15, 0.05)
"""Idle shares: the stages' core is full below the first, and others have room above the first; once
other threads are kept off, it is no longer full above the second, others have none below it."""

LOOKS_IN_A_ROW = 5
"""That find it so before threads are kept off: a checkpoint fills a core for a second or two."""

_TASKS, _PROGRAM, _TIMES = Path("/proc/self/task"), Path("/proc/self/exe"), Path("/proc/stat")


def idle_ticks(text: str) -> dict[int, int]:
    r"""By core, how long it has been idle, of what `/proc/stat` says, in ticks.

    >>> idle_ticks("cpu  5 0 2 9 1 0\ncpu0 3 0 1 4 1 0\ncpu1 2 0 1 5 0 0\nintr 7")
    {0: 5, 1: 5}
    """
    lines = (line.split() for line in text.splitlines())
    return {int(name.removeprefix("cpu")): sum(map(int, times[3:5]))
            for name, *times in lines if name.startswith("cpu") and name != "cpu"}  # fmt: skip


class Crowd:
    """Whether a core is full for long while others have room, from how long each has been idle."""

    def __init__(self) -> None:
        self._idle: Mapping[int, int] = {}
        self._looks = 0

    @property
    def found(self) -> bool:
        """Whether it was so at the last look."""
        return self._looks >= LOOKS_IN_A_ROW

    def look(self, core: Set[int], others: Set[int], idle: Mapping[int, int], ticks: float) -> bool:
        """Look again.

        Args:
            core: The core.
            others: The other ones.
            idle: Ticks that each has been idle.
            ticks: Since the last look.
        """
        before, self._idle = self._idle, idle

        def share(cores: Set[int]) -> float:
            return sum(idle[one] - before[one] for one in cores) / len(cores) / ticks

        told = bool(others) and ticks > 0 and core | others <= idle.keys() & before.keys()
        so = told and share(core) < FULL[self.found] and share(others) > ROOM[self.found]
        self._looks = self._looks + 1 if so else 0
        return self.found


class StageCore:
    """The core of a process's stages; each of their threads says that it is one.

    Args:
        environ: Of the process.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._threads: set[int] = set()
        self._core: set[int] = set()
        self._crowd = Crowd()
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
        """The calling thread ends; with the last one, nothing is kept off."""
        self._threads.discard(threading.get_native_id())
        if self._crowd.found and not self._threads:
            anywhere = os.sched_getaffinity(os.getpid())
            self._let(anywhere, (anywhere - self._core,))

    def look(self) -> None:
        """Now and then, let the worker's other threads run anywhere, or anywhere but there.

        What a stage's thread starts begins on its core: those that copy a checkpoint would hold the
        stages up. The process's first thread stays as it is: it says what the process may use.
        """
        now_s = time.monotonic()
        passed_s = now_s - self._looked_s
        if not self._threads or passed_s < LOOKS_EVERY_S:
            return
        self._looked_s = now_s
        anywhere = os.sched_getaffinity(os.getpid())
        others = anywhere - self._core
        ticks = passed_s * os.sysconf("SC_CLK_TCK")
        crowded = self._crowd.look(self._core, others, idle_ticks(_TIMES.read_text()), ticks)
        self._let(others if crowded else anywhere, (self._core, others, anywhere))

    def _let(self, wanted: Set[int], known: Sequence[Set[int]]) -> None:
        """Let all threads but those of stages run on some cores, if they run on some known ones."""
        for thread in {int(task.name) for task in _TASKS.iterdir()} - self._threads - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                runs = os.sched_getaffinity(thread)
                if runs != wanted and runs in known:
                    os.sched_setaffinity(thread, wanted)


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
