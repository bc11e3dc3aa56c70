"""The `drill` command: names, options and help; the work is imported when it runs."""

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(drill)


def drill(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which; all of them if none is named.")
    ] = None,
    *,
    leg: Annotated[
        Literal["both", "live", "replay"], typer.Option(help="Under a steady load, or a replay.")
    ] = "both",
    rate: Annotated[int, typer.Option(min=1, help="Events a second, live.")] = 300,
    events: Annotated[int, typer.Option(min=1000, help="Events of the replay.")] = 60_000,
    parallelism: Annotated[int, typer.Option(min=1, max=15, help="TaskManagers.")] = 2,
    show: Annotated[bool, typer.Option("--list", help="Only tell which there are.")] = False,
    out: Annotated[Path | None, typer.Option(help="File of the JSON.")] = None,
    config: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
        typer.Option("--config", "-c", envvar="HEADWATER_CONFIG", help="Settings file."),
    ] = None,
) -> None:
    """Kill and starve the local stack under load, and prove that nothing was lost.

    Works on topics and in a keyspace of its own; starts the stack if it is down, and refuses to run
    beside another job. Exit code 1: events were lost or counted twice, or rows differ from those
    of an undisturbed replay.
    """
    from deploy.drills import console

    if show:
        raise typer.Exit(console.tell())
    options = console.Options(leg=leg, rate=rate, events=events, parallelism=parallelism)
    raise typer.Exit(console.run(names or [], options, config, out))
