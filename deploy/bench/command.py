"""The `bench` command: names, options and help; the work is imported when it runs."""

from pathlib import Path
from typing import Annotated, Optional

import typer

_LOAD, _MADE_UP = "Load", "Made-up population"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(bench)


def bench(
    *,
    rate: Annotated[
        str, typer.Option(help="Events a second, or max: search.", rich_help_panel=_LOAD)
    ] = "1000",
    seconds: Annotated[
        float, typer.Option(min=1, help="How long at that rate.", rich_help_panel=_LOAD)
    ] = 60.0,
    drain: Annotated[
        int,
        typer.Option(
            min=0, help="Instead: so many events before the job starts.", rich_help_panel=_LOAD
        ),
    ] = 0,
    flat: Annotated[
        bool,
        typer.Option(
            "--flat",
            help="Instead: whether cost grows with history, popularity, age.",
            rich_help_panel=_LOAD,
        ),
    ] = False,
    warmup: Annotated[
        int | None,
        typer.Option(min=0, help="Events before; default ten a user.", rich_help_panel=_LOAD),
    ] = None,
    lead_in: Annotated[
        float,
        typer.Option(min=0, help="Seconds at that rate before those.", rich_help_panel=_LOAD),
    ] = 0.0,
    source: Annotated[
        Path | None,
        typer.Option(help="A data set, as `replay` reads it.", rich_help_panel=_LOAD),
    ] = None,
    users: Annotated[int, typer.Option(min=1, rich_help_panel=_MADE_UP)] = 20_000,
    items: Annotated[int, typer.Option(min=1, rich_help_panel=_MADE_UP)] = 5_000,
    seed: Annotated[int, typer.Option(min=0, rich_help_panel=_MADE_UP)] = 1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Setting of the job, KEY=VALUE; may be repeated."),
    ] = None,
    p99_limit_ms: Annotated[float, typer.Option(min=1, help="Slower rows end a search.")] = 1000.0,
    probes: Annotated[
        float, typer.Option(min=0.1, help="Rows looked for from outside, a second.")
    ] = 2.0,
    patience: Annotated[float, typer.Option(min=1, help="Seconds until all is served.")] = 600.0,
    out: Annotated[
        Path | None, typer.Option(help="File of the JSON; default: standard output.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave topics and item rows.")] = False,
    config: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
        typer.Option("--config", "-c", envvar="HEADWATER_CONFIG", help="Settings file."),
    ] = None,
) -> None:
    """Measure throughput, freshness and cost of recommend on the local stack.

    Starts the stack if it is down, and takes down what it has started. Refuses to run beside
    another job; works on topics and under a tenant of its own. Exit code 1: events were lost or
    counted twice.
    """
    from deploy.bench import console

    options = console.gather(
        rate=rate, seconds=seconds, drain=drain, flat=flat, warmup=warmup, lead_in_s=lead_in,
        source=source, users=users, items=items, seed=seed, sets=set_ or [],
        p99_limit_ms=p99_limit_ms, probes_per_s=probes, patience_s=patience, keep=keep,
    )  # fmt: skip
    raise typer.Exit(console.run(options, config, out))
