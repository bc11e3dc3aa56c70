"""Counters and usage, now and then, while something is measured."""

import threading
import time
from collections.abc import Callable
from typing import Self

from deploy.bench.arithmetic import Sample
from deploy.bench.options import BenchError


class Sampler:
    """Takes samples in a thread, the first at its beginning and the last at its end.

    Args:
        take: Takes one.
        every_s: Seconds between two.
    """

    def __init__(self, take: Callable[[], Sample], every_s: float) -> None:
        self.samples: list[Sample] = []
        self._take, self._every_s = take, every_s
        self._ending = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self.samples.append(self._take())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def finish(self) -> list[Sample]:
        """Take the last sample; gives all of them.

        Raises:
            BenchError: One could not be taken.
        """
        self.__exit__()
        if self._error:
            msg = f"the job's counters could not be read throughout: {self._error}"
            raise BenchError(msg) from self._error
        self.samples.append(self._take())
        return self.samples

    def _run(self) -> None:
        due_s = time.monotonic() + self._every_s
        while not self._ending.wait(max(0.0, due_s - time.monotonic())):
            due_s += self._every_s
            try:
                self.samples.append(self._take())
            except Exception as error:
                self._error = error
                return
