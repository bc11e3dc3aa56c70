"""A Python process beside a worker, for what would hold up the interpreter that stages share.

Flink has one of its own, for pandas functions. That gathers records to bundles, looks now and then
whether one is to end, and each costs 10 ms of CPU whatever is in it. This one is asked and answers.
Who asks waits without the interpreter's lock, and no checkpoint barrier passes before the answer.

It is started by the task that asks and ends with it, however that ends. It is not told to where a
task is cancelled or fails, for an embedded Python is not closed then: so it looks now and then
whether the task's thread is still there.
"""

import os
import select
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from operators.errors import HeadwaterError

Answer = Callable[[bytes], bytes]

_HEAD = struct.Struct("<?I")
"""Before each message: whether it says what went wrong; its length in bytes."""
END_S = 10.0
"""How long a process that is told to end may take."""
LOOKS_EVERY_S = 1.0
"""How often who waits looks whether there is still any use in it, on either side."""

_started: list["subprocess.Popen[bytes]"] = []
"""Processes of all tasks of this worker that may not have been waited for."""
_starting = threading.Lock()


def never() -> bool:
    """Nobody gives up."""
    return False


class AsideError(HeadwaterError):
    """The process beside has ended, or says what went wrong."""


class Aside:
    """Starts a process, asks it, and ends it.

    Args:
        module: That it runs, which calls `serve`.
        first: What it begins with; not seen by those who list processes.
        unwanted: Whether its answers are wanted no more.

    Attributes:
        begun: What it answered to that.

    Raises:
        AsideError: It could not begin.
    """

    def __init__(self, module: str, first: bytes, unwanted: Callable[[], bool] = never) -> None:
        self._module, self._unwanted = module, unwanted
        _forget_ended()
        self._process = subprocess.Popen(
            [python(), "-m", module, str(threading.get_native_id())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        _started.append(self._process)
        assert self._process.stdin
        assert self._process.stdout
        self._asked, self._answers = self._process.stdin, self._process.stdout
        self._ready = select.poll()
        self._ready.register(self._answers, select.POLLIN)
        try:
            self.begun = self.ask(first)
        except BaseException:
            self.close()
            raise

    def ask(self, body: bytes) -> bytes:
        """Its answer; until it is there, other threads run.

        Raises:
            AsideError: It went wrong, the process is gone, or nobody wants the answer.
        """
        try:
            _send(self._asked, body)
            while not self._ready.poll(1000 * LOOKS_EVERY_S):
                if self._unwanted():
                    msg = f"the task of {self._module} ends before what it asked for is done"
                    raise AsideError(msg)
            answer = _receive(self._answers)
        except BrokenPipeError:
            answer = None
        if answer is None:
            code = self._process.wait(END_S)
            what = f"the process {self._module} beside this worker"
            msg = f"{what} has ended with {code}: see its log"
            raise AsideError(msg)
        failed, told = answer
        if failed:
            raise AsideError(told.decode())
        return told

    def close(self) -> None:
        """Let the process end; kill it if it does not."""
        self._asked.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()


def _forget_ended() -> None:
    """Wait for processes that have ended with their tasks, and close their pipes."""
    with _starting:
        for process in [one for one in _started if one.poll() is not None]:
            _started.remove(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def python() -> str:
    """The interpreter to start: inside a JVM, `sys.executable` may name anything."""
    if Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    found = shutil.which("python3.11") or shutil.which("python3") or shutil.which("python")
    if found is None:
        msg = "no python3 in PATH: a worker needs it to start a process beside it"
        raise AsideError(msg)
    return found


def serve(begin: Callable[[bytes], tuple[bytes, Answer]]) -> None:
    """Answer what is asked, until there is no more input or the thread is gone that started it.

    What goes wrong is an answer too; what the program prints goes to the log.

    Args:
        begin: Makes of the first message its answer, and what answers the others.
    """
    questions, answers = os.fdopen(0, "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    thread = Path(f"/proc/{os.getppid()}/task/{sys.argv[1]}")
    ready = select.poll()
    ready.register(questions, select.POLLIN)
    answer: Answer | None = None
    while True:
        while not ready.poll(1000 * LOOKS_EVERY_S):
            if not thread.exists():
                return
        if (asked := _receive(questions)) is None:
            return
        try:
            if answer is None:
                told, answer = begin(asked[1])
            else:
                told = answer(asked[1])
        except Exception as error:
            _send(answers, f"{type(error).__name__}: {error}".encode(), failed=True)
        else:
            _send(answers, told)


def _send(file: IO[bytes], body: bytes, *, failed: bool = False) -> None:
    left = memoryview(_HEAD.pack(failed, len(body)) + body)
    while left:
        left = left[file.write(left) :]


def _receive(file: IO[bytes]) -> tuple[bool, bytes] | None:
    """Whether it says what went wrong, and the message; None if there is no more."""
    head = _read(file, _HEAD.size)
    if head is None:
        return None
    failed, length = _HEAD.unpack(head)
    body = _read(file, length)
    return None if body is None else (failed, body)


def _read(file: IO[bytes], length: int) -> bytes | None:
    parts, left = [], length
    while left:
        part = file.read(left)
        if not part:
            return None
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
