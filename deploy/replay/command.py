"""The `replay` command: names, options and help; the work is imported when it runs."""

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from deploy.replay.options import Format, TimeUnit
from operators.events import Action


def _reading(*names: str, help: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel="Reading", **settings)


def _column(*names: str, help: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel="Columns of csv and jsonl", **settings)


# Typer reads annotations at run time, and an `X | None` of a Literal is none to it.
Place = Annotated[Path, typer.Argument(help="A file or folder, plain or gzip.")]
Speed = Annotated[str, typer.Option(help="Multiple of real time, or max.")]
Limit = Annotated[int | None, typer.Option(min=0, help="Send so many events at most.")]
Bootstrap = Annotated[str, typer.Option(envvar="HEADWATER_KAFKA", help="Kafka, HOST:PORT[,…].")]
Tenant = Annotated[str | None, typer.Option(help="Tenant of all records.")]
Shift = Annotated[
    bool, typer.Option("--shift-to-now", help="Move all times: the last event is now.")
]
FormatName = Annotated[
    Optional[Format],  # noqa: UP045
    _reading("--format", help="Default: by content."),
]
StarsMax = Annotated[float | None, _reading(help="Top of the data's scale of stars. Default: 5.")]
Tags = Annotated[bool | None, _reading("--tags/--no-tags", help="MovieLens tags as comments.")]
Strict = Annotated[bool | None, _reading("--strict", help="Stop at the first bad row.")]
MappingFile = Annotated[Path | None, _column(help="TOML file with what follows.")]
Map = Annotated[list[str] | None, _column("--map", help="FIELD=COLUMN; may be repeated.")]
ActionName = Annotated[
    Optional[Action],  # noqa: UP045
    _column(help="Action of all rows.", metavar="ACTION"),
]
MapAction = Annotated[list[str] | None, _column(help="WORD=ACTION; may be repeated.")]
Unit = Annotated[Optional[TimeUnit], _column(help="Unit of times. Default: s.")]  # noqa: UP045
Delimiter = Annotated[str | None, _column(help=r"Default: by the first line; \t is a tab.")]
Header = Annotated[
    bool | None, _column("--has-header/--no-header", help="Without one, columns are 0, 1, …")
]
Encoding = Annotated[str | None, _column(help="Default: utf-8.")]
Separator = Annotated[str | None, _column(help="In categories and tags. Default: |")]
Items = Annotated[Path | None, _column(help="Catalogue in a file of its own.")]
MapItem = Annotated[list[str] | None, _column(help="FIELD=COLUMN of it; may be repeated.")]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(replay)


def replay(
    source: Place,
    *,
    speed: Speed = "max",
    limit: Limit = None,
    bootstrap: Bootstrap = "127.0.0.1:9092",
    tenant: Tenant = None,
    shift_to_now: Shift = False,
    format_: FormatName = None,
    stars_max: StarsMax = None,
    tags: Tags = None,
    strict: Strict = None,
    mapping: MappingFile = None,
    map_: Map = None,
    action: ActionName = None,
    map_action: MapAction = None,
    time_unit: Unit = None,
    delimiter: Delimiter = None,
    header: Header = None,
    encoding: Encoding = None,
    list_separator: Separator = None,
    items: Items = None,
    map_item: MapItem = None,
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
    code = console.run(
        source, options, speed=speed, limit=limit, bootstrap=bootstrap, shift=shift_to_now
    )
    raise typer.Exit(code)
