"""The `peers` command: names, options and help; the work is imported when it runs."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from deploy.replay.options import Format

Config = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
    typer.Option("--config", "-c", envvar="HEADWATER_CONFIG", help="Settings file."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(peers)


def peers(
    source: Annotated[Path, typer.Argument(help="A file or folder, plain or gzip.")],
    config: Config = None,
    *,
    only: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Default: all of them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("peers"),
    every: Annotated[
        int | None,
        typer.Option(min=1, help="Interactions between two trainings of a peer that is trained."),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Look for parameters on an early part first.")
    ] = False,
    parameters: Annotated[
        Path | None, typer.Option(help="TOML file in the place of the project's.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read so many events at most.")] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file that maps columns, as for replay.")
    ] = None,
    format_: Annotated[
        Optional[Format],  # noqa: UP045
        typer.Option("--format", help="Default: by content."),
    ] = None,
    stars_max: Annotated[
        float | None, typer.Option(help="Top of the data's scale of stars. Default: 5.")
    ] = None,
) -> None:
    """Run other recommenders on a data set, predicting before they learn, as `evaluate` does.

    Each runs in a virtual environment of its own, made by the first run. Exit code 1: a peer
    failed, or the data set cannot be read.
    """
    from deploy.peers import console

    how = console.reading(mapping, format=format_, stars_max=stars_max)
    options = console.Options(
        config=config, only=only, parameters=parameters, every=every, tune=tune, limit=limit,
        out=out,
    )  # fmt: skip
    raise typer.Exit(console.run(source, how, options))
