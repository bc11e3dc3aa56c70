"""Shows how far a run is: a bar on a terminal, a line a step elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from deploy.bench.bench import Tell


@contextmanager
def teller(console: Console) -> Iterator[Tell]:
    """What a run is to tell, for as long as it runs."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(text: str, done: float | None = None, total: float | None = None) -> None:
            progress.update(task, description=text, completed=int(done or 0), total=total)

        yield tell


def _lines(console: Console) -> Tell:
    last = ""

    def tell(text: str, done: float | None = None, total: float | None = None) -> None:
        nonlocal last
        if text != last:
            console.print(text, markup=False, highlight=False)
            last = text

    return tell
