"""The `bench` command: names, options and help; the work is imported when it runs."""

from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

_load = partial(typer.Option, rich_help_panel="Load")
_made_up = partial(typer.Option, rich_help_panel="Made-up population")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(bench)


def bench(
    *,
    rate: Annotated[str, _load(help="Events a second, or max: search.")] = "1000",
    seconds: Annotated[float, _load(min=1, help="How long at that rate.")] = 60.0,
    drain: Annotated[int, _load(min=0, help="Instead: so many events before the job starts.")] = 0,
    flat: Annotated[
        bool, _load("--flat", help="Instead: whether cost grows with history, popularity, age.")
    ] = False,
    warmup: Annotated[int | None, _load(min=0, help="Events before; default ten a user.")] = None,
    lead_in: Annotated[float, _load(min=0, help="Seconds at that rate before those.")] = 0.0,
    source: Annotated[Path | None, _load(help="A data set, as `replay` reads it.")] = None,
    users: Annotated[int, _made_up(min=1)] = 20_000,
    items: Annotated[int, _made_up(min=1)] = 5_000,
    seed: Annotated[int, _made_up(min=0)] = 1,
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
