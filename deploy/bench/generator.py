"""The other end of the generator's process."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from deploy.bench.generate import Catalogue, Command, Open, Problem, Send, Sent, Tally
from deploy.bench.options import BenchError
from deploy.stack.layout import PROJECT

Totals = dict[str, tuple[int, int]]
"""Events of each user, and the time of the last, ms."""


class Generator:
    """Starts the process, gives it commands, waits for its answers.

    Attributes:
        pid: Of the process.
    """

    def __init__(self, plan: Open) -> None:
        """Start and connect.

        Raises:
            BenchError: The data set cannot be read.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.bench.generate"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid
        try:
            self._ask(plan)
        except BaseException:
            self.close()
            raise

    def catalogue(self) -> Sent:
        """Send all items."""
        return self._acknowledged(self._ask(Catalogue()))

    def send(self, count: int, rate_per_s: float | None) -> Sent:
        """Send the next events; returns when Kafka has all of them.

        Raises:
            BenchError: Some were not acknowledged.
        """
        return self._acknowledged(self._ask(Send(count=count, rate_per_s=rate_per_s)))

    def totals(self, folder: Path) -> Totals:
        """What was sent so far for each user."""
        path = folder / "tally"
        self._ask(Tally(str(path)))
        return msgspec.msgpack.decode(path.read_bytes(), type=Totals)

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, command: Command) -> Sent:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(msgspec.json.encode(command) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            msg = f"the generator ended with {self._process.wait()} at {type(command).__name__}"
            raise BenchError(msg)
        answer = msgspec.json.decode(line, type=dict)
        if "problem" in answer:
            raise BenchError(msgspec.convert(answer, Problem).problem)
        return msgspec.convert(answer, Sent)

    def _acknowledged(self, sent: Sent) -> Sent:
        if sent.failed:
            msg = f"Kafka did not acknowledge {sent.failed} records: {sent.first_failure}"
            raise BenchError(msg)
        return sent
