"""The `replay` command: names, options and help; the work is imported when it runs."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from deploy.replay.options import Format, TimeUnit
from operators.events import Action

_MAPPING, _READING = "Columns of csv and jsonl", "Reading"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(replay)


def replay(
    source: Annotated[Path, typer.Argument(help="A file or folder, plain or gzip.")],
    *,
    speed: Annotated[str, typer.Option(help="Multiple of real time, or max.")] = "max",
    limit: Annotated[int | None, typer.Option(min=0, help="Send so many events at most.")] = None,
    bootstrap: Annotated[
        str, typer.Option(envvar="HEADWATER_KAFKA", help="Kafka, HOST:PORT[,…].")
    ] = "127.0.0.1:9092",
    tenant: Annotated[str | None, typer.Option(help="Tenant of all records.")] = None,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all times: the last event is now.")
    ] = False,
    format_: Annotated[
        Optional[Format],  # noqa: UP045 - typer reads this annotation at run time
        typer.Option("--format", help="Default: by content.", rich_help_panel=_READING),
    ] = None,
    stars_max: Annotated[
        float | None,
        typer.Option(help="Top of the data's scale of stars.", rich_help_panel=_READING),
    ] = None,
    tags: Annotated[
        bool | None,
        typer.Option(
            "--tags/--no-tags", help="MovieLens tags as comments.", rich_help_panel=_READING
        ),
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict", help="Stop at the first bad row.", rich_help_panel=_READING),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(help="TOML file with what follows.", rich_help_panel=_MAPPING),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="FIELD=COLUMN; may be repeated.", rich_help_panel=_MAPPING),
    ] = None,
    action: Annotated[
        Optional[Action],  # noqa: UP045 - typer reads this annotation at run time
        typer.Option(help="Action of all rows.", metavar="ACTION", rich_help_panel=_MAPPING),
    ] = None,
    map_action: Annotated[
        list[str] | None,
        typer.Option(help="WORD=ACTION; may be repeated.", rich_help_panel=_MAPPING),
    ] = None,
    time_unit: Annotated[
        Optional[TimeUnit],  # noqa: UP045 - typer reads this annotation at run time
        typer.Option(help="Default: s.", rich_help_panel=_MAPPING),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(help=r"Default: by the first line; \t is a tab.", rich_help_panel=_MAPPING),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--has-header/--no-header", help="Without: columns 0, 1, …", rich_help_panel=_MAPPING
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Default: utf-8.", rich_help_panel=_MAPPING)
    ] = None,
    list_separator: Annotated[
        str | None,
        typer.Option(help="In categories and tags. Default: |", rich_help_panel=_MAPPING),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(help="Catalogue in a file of its own.", rich_help_panel=_MAPPING),
    ] = None,
    map_item: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=COLUMN of it; may be repeated.", rich_help_panel=_MAPPING),
    ] = None,
) -> None:
    """Send a data set to Kafka as items and events, in event order.

    MovieLens, Amazon reviews, Taobao UserBehavior, the Netflix Prize and YooChoose are known by
    their content; other CSV and JSON lines need their columns mapped. Exit code 1: some records
    did not arrive, or the data set cannot be read.
    """
    from deploy.replay import console

    settings = {
        "tenant": tenant,
        "format": format_,
        "stars_max": stars_max,
        "tags": tags,
        "strict": strict,
        "action": action,
        "time_unit": time_unit,
        "delimiter": delimiter.replace("\\t", "\t") if delimiter else delimiter,
        "header": header,
        "encoding": encoding,
        "list_separator": list_separator,
    }
    pairs = {"--map": map_ or [], "--map-action": map_action or [], "--map-item": map_item or []}
    options = console.gather(mapping, settings, pairs, items)
    raise typer.Exit(
        console.run(
            source, options, speed=speed, limit=limit, bootstrap=bootstrap, shift=shift_to_now
        )
    )
