"""Shows how far a start is: live lines on a terminal, plain lines elsewhere."""

import threading
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Report(Protocol):
    """Is told what a service is doing; may be called from several threads."""

    def __call__(self, service: str, text: str, *, done: bool = False) -> None:
        """Takes one step of one service; ``done`` marks its last."""


def silent(service: str, text: str, *, done: bool = False) -> None:
    """Tells nobody."""


class PlainReport:
    """Prints a line whenever a service's text changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keeps nothing open."""

    def __call__(self, service: str, text: str, *, done: bool = False) -> None:
        """Prints the step; of a count that only grows, every twentieth value."""
        with self._lock:
            if self._last.get(service) == text or (not done and _skipped(text)):
                return
            self._last[service] = text
            self._console.print(f"{service:<15} {text}", markup=False, highlight=False)


def _skipped(text: str) -> bool:
    numbers = [int(word) for word in text.split() if word.isdigit()]
    return text.startswith("fetched") and bool(numbers) and numbers[0] % 20 != 0


class LiveReport:
    """One spinning line a service, with its elapsed time."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.fields[service]:<15}"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, service: str, text: str, *, done: bool = False) -> None:
        """Rewrites the service's line."""
        with self._lock:
            if service not in self._tasks:
                self._tasks[service] = self._progress.add_task(text, total=1, service=service)
            task = self._tasks[service]
            self._progress.update(task, description=text, completed=int(done))


def reporter(console: Console) -> LiveReport | PlainReport:
    """The report that suits where the console writes."""
    return LiveReport(console) if console.is_terminal else PlainReport(console)
