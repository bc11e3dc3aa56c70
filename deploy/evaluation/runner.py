"""Runs the job `recommend` over a folder, on a local mini cluster in a process of its own.

A Flink job needs a JVM, and the JVM the settings of a fresh process; when it ends, all it held is
given back. `jobs.local` is the program.
"""

import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from deploy.evaluation.sources import EvaluationError
from deploy.stack.layout import PROJECT
from deploy.stack.processes import read_stat
from operators.flink.payload import unpack

M = TypeVar("M")
CAPTURED = ("rows", "outcomes", "strategy")
"""Channels that the program appends to files of these names."""
ENDING = (signal.SIGTERM, signal.SIGHUP)
POLL_S = 0.25
ERROR_CHARACTERS = 3000
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Cost(Struct, frozen=True):
    """What a run took: time on the wall, and seconds of CPU of all its processes."""

    seconds: float
    seconds_cpu: float


class Follower(Generic[M]):
    """Reads a captured channel while it grows.

    Args:
        path: The file; need not be there yet.
        kind: Type of a list of its messages.
        messages: Gets them.
    """

    def __init__(self, path: Path, kind: type[list[M]], messages: list[M]) -> None:
        self._path, self._messages, self._offset = path, messages, 0
        self._decoder = msgspec.msgpack.Decoder(kind)

    def read(self) -> int:
        """Take in what is new; gives the number of messages so far."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole = file.read().rpartition(b"\n")[0]
            self._offset += len(whole) + 1 if whole else 0
            for line in whole.decode("ascii").split():
                self._messages += unpack(self._decoder, line)
        return len(self._messages)


def run(
    folder: Path, overrides: Sequence[str], on_poll: Callable[[], object] | None = None
) -> Cost:
    """Run the job over FOLDER/events and FOLDER/items to its end.

    Args:
        folder: Gets the captured channels, and `log`.
        overrides: Settings of the job, `key=value`.
        on_poll: Called a few times a second while it runs.

    Raises:
        EvaluationError: The job failed; with the end of what it said.
    """
    began_s = time.monotonic()
    with (
        (folder / "log").open("wb") as log,
        _signals_end_the_block(),
        _started(folder, overrides, log) as process,
    ):
        used: dict[int, float] = {}
        while process.poll() is None:
            used |= _cpu_s(process.pid)
            if on_poll:
                on_poll()
            time.sleep(POLL_S)
    if process.returncode:
        said = (folder / "log").read_text("utf-8", "replace")[-ERROR_CHARACTERS:]
        msg = f"the job ended with code {process.returncode}; it said last:\n{said}"
        raise EvaluationError(msg)
    return Cost(time.monotonic() - began_s, sum(used.values()))


@contextmanager
def _signals_end_the_block() -> Iterator[None]:
    """What ends this process ends the block first, as Ctrl-C does: nothing stays behind.

    Python sets handlers in the main thread alone; in another one nothing changes.
    """

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _started(
    folder: Path, overrides: Sequence[str], log: object
) -> Iterator[subprocess.Popen[bytes]]:
    """The program in a session of its own, which ends with the block whatever happens in it."""
    paths = os.pathsep.join([str(PROJECT), sysconfig.get_paths()["purelib"]])
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.local", str(folder.absolute()), *overrides],
        env={**os.environ, "PYTHONPATH": paths}, cwd=folder, stdout=log, stderr=log,  # type: ignore[call-overload]
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _cpu_s(session: int) -> dict[int, float]:
    """CPU seconds so far by process of a session."""
    found = {}
    for entry in Path("/proc").iterdir():
        stat = read_stat(int(entry.name)) if entry.name.isdigit() else None
        if stat and stat.session == session:
            found[stat.pid] = stat.cpu_ticks / _TICKS_PER_S
    return found


def lines_under(folder: Path) -> int:
    """Lines of all files of a folder, 0 where there is none: what a file sink wrote."""
    parts = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.read_bytes().count(b"\n") for path in parts)
