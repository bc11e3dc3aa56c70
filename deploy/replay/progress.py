"""Shows how far reading and sending are: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_REDRAW_S = 0.1
_LINE_EVERY_S = 10.0


class Show(Protocol):
    """Hears how far the work is; cheap enough to be told of every record."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Stop showing."""

    def begin(self, what: str, total: int | None) -> None:
        """Begin another piece of work, of so many steps if that is known."""

    def __call__(self, done: int) -> None:
        """So many steps are done."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


class LiveShow:
    """A bar a piece of work."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,}"),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
        )
        self._clock, self._drawn_s, self._done = clock, 0.0, 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()
        self._progress.stop()

    def begin(self, what: str, total: int | None) -> None:
        """Add a bar; the one before is complete."""
        self._finish()
        self._progress.add_task(what, total=total)
        self._done = 0

    def __call__(self, done: int) -> None:
        """Move the bar, ten times a second at most."""
        self._done = done
        now_s = self._clock()
        if now_s - self._drawn_s >= _REDRAW_S:
            self._drawn_s = now_s
            self._progress.update(self._progress.task_ids[-1], completed=done)

    def _finish(self) -> None:
        if ids := self._progress.task_ids:
            task = self._progress.tasks[-1]
            self._progress.update(ids[-1], completed=self._done, total=task.total or self._done)


class PlainShow:
    """A line at the beginning of a piece of work, and one every ten seconds."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._what = ""
        self._total: int | None = None
        self._began_s = self._printed_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep nothing open."""

    def begin(self, what: str, total: int | None) -> None:
        """Print what begins."""
        self._what, self._total = what, total
        self._began_s = self._printed_s = self._clock()
        self._print(what if total is None else f"{what}: {total:,}")

    def __call__(self, done: int) -> None:
        """Print how far it is, if it is time."""
        now_s = self._clock()
        if now_s - self._printed_s < _LINE_EVERY_S:
            return
        self._printed_s = now_s
        rate = done / (now_s - self._began_s)
        line = f"{self._what}: {done:,}"
        if self._total and rate:
            left_s = (self._total - done) / rate
            line += f" of {self._total:,} ({done / self._total:.0%}), {left_s:,.0f} s left"
        self._print(f"{line}, {rate:,.0f}/s")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def show_on(console: Console) -> LiveShow | PlainShow:
    """Give what suits the console."""
    return LiveShow(console) if console.is_terminal else PlainShow(console)
