"""The evaluation commands: options and help; the work is imported when one runs."""

from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer

from deploy.replay import command as replay

Language = Literal["en", "zh"]

_JUDGING, _JOB = "Judging", "Job"
Kind = Annotated[
    Literal["prequential", "split", "last-out"],
    typer.Option(
        help="prequential: every like, in the stream. split: those of the last tenth of the "
        "events. last-out: the last like of each user, moved behind all other events.",
        rich_help_panel=_JUDGING,
    ),
]
K = Annotated[int, typer.Option("--k", min=1, help="Length of the list.", rich_help_panel=_JUDGING)]
PositiveFrom = Annotated[
    int | None,
    typer.Option(
        "--positive", min=0, max=10, rich_help_panel=_JUDGING,
        help="Least strength of a like, two a star; default: the job's own.",
    ),
]  # fmt: skip
Seed = Annotated[int, typer.Option(help="Of the intervals.", rich_help_panel=_JUDGING)]
Peers = Annotated[
    Path | None,
    typer.Option(help="Folder of other recommenders' ranks.", rich_help_panel=_JUDGING),
]
Window = Annotated[
    int,
    typer.Option(
        "--window-ms", min=1, rich_help_panel=_JOB,
        help="Event time in a batch; 1: every event is a batch of its own.",
    ),
]  # fmt: skip
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Setting of the job, KEY=VALUE; repeatable.", rich_help_panel=_JOB),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file of the job.", rich_help_panel=_JOB),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Take so many events at most.")]
Folder = Annotated[Path, typer.Option("--report", help="Gets report.json and report.html.")]
FileOrder = Annotated[
    bool,
    typer.Option(
        "--file-order", help="Rows have no times: take their order. Only with last-out.",
        rich_help_panel="Columns of csv and jsonl",
    ),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (evaluate, tune, history):
        app.command()(command)


def evaluate(
    source: replay.Place,
    *,
    report: Folder = Path("report"),
    protocol: Kind = "prequential",
    window_ms: Window = 1000,
    k: K = 10,
    limit: Limit = None,
    positive: PositiveFrom = None,
    seed: Seed = 1,
    language: Annotated[
        Optional[Language],  # noqa: UP045 - typer reads this at run time
        typer.Option(help="Of report.html."),
    ] = None,
    peers: Peers = None,
    set_: Set = None,
    config: Config = None,
    keep: Annotated[Path | None, typer.Option(help="Leave the run's files in this folder.")] = None,
    format_: replay.FormatName = None,
    stars_max: replay.StarsMax = None,
    tags: replay.Tags = None,
    strict: replay.Strict = None,
    mapping: replay.MappingFile = None,
    map_: replay.Map = None,
    action: replay.ActionName = None,
    map_action: replay.MapAction = None,
    time_unit: replay.Unit = None,
    file_order: FileOrder = False,
    delimiter: replay.Delimiter = None,
    header: replay.Header = None,
    encoding: replay.Encoding = None,
    list_separator: replay.Separator = None,
    items: replay.Items = None,
    map_item: replay.MapItem = None,
) -> None:
    """Send a data set through the very graph of recommend, judge its lists, write a report.

    Before each event the list that was being served is judged by it; then the event is learned
    from. Everything runs on this machine, without Kafka and Cassandra. MovieLens, Amazon reviews,
    Taobao, Netflix and YooChoose are known by their content, other CSV and JSON lines need their
    columns mapped.
    """
    from deploy.evaluation import console

    read = console.gather(
        mapping, items, {"--map": map_, "--map-action": map_action, "--map-item": map_item},
        format=format_, stars_max=stars_max, tags=tags, strict=strict, action=action,
        time_unit=time_unit, file_order=file_order or None, delimiter=delimiter, header=header,
        encoding=encoding, list_separator=list_separator,
    )  # fmt: skip
    wanted: dict[str, Any] = {
        "protocol": protocol, "window_ms": window_ms, "k": k, "limit": limit,
        "positive": positive, "seed": seed, "peers": peers, "overrides": set_ or [],
        "config": config, "keep": keep,
    }  # fmt: skip
    raise typer.Exit(console.evaluate(source, read, wanted, report, language or "en"))


def tune(
    source: replay.Place,
    *,
    out: Annotated[Path, typer.Option(help="Gets the settings found.")] = Path("tuned.toml"),
    trials: Annotated[int, typer.Option(min=2, help="Runs, the defaults first.")] = 20,
    only: Annotated[
        list[str] | None, typer.Option(help="Search this setting alone; repeatable.")
    ] = None,
    window_ms: Window = 1000,
    k: K = 10,
    limit: Limit = None,
    positive: PositiveFrom = None,
    seed: Seed = 1,
    set_: Set = None,
    config: Config = None,
    mapping: replay.MappingFile = None,
) -> None:
    """Choose settings of the job on the validation part of a data set, and write them as TOML.

    The last tenth of the events is left alone, for `evaluate --protocol split` with the file.
    Columns of csv and jsonl are mapped by --mapping.
    """
    from deploy.evaluation import console

    wanted: dict[str, Any] = {
        "window_ms": window_ms, "k": k, "limit": limit, "positive": positive, "seed": seed,
        "overrides": set_ or [], "config": config,
    }  # fmt: skip
    read = console.gather(mapping, None, {})
    raise typer.Exit(console.tune(source, read, wanted, trials, only or [], out))


def history(
    user: Annotated[str, typer.Argument(help="User id, or session id.")],
    at: Annotated[str, typer.Option(help="Time in ISO 8601, UTC, or milliseconds since 1970.")],
    source: Annotated[
        Path | None, typer.Option(help="A data set, as `replay` reads it; default: the topics.")
    ] = None,
    *,
    tenant: Annotated[str, typer.Option(help="Whose data.")] = "default",
    top: Annotated[int, typer.Option(min=1, help="Items at the most.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    window_ms: Window = 1000,
    set_: Set = None,
    config: Config = None,
    mapping: replay.MappingFile = None,
) -> None:
    """Show what the list of a user was at a time.

    Old lists are kept nowhere: the events up to that time are replayed, so the topics (or the data
    set) have to hold them from the beginning, and the settings have to be those of then.
    """
    from deploy.evaluation import console

    wanted: dict[str, Any] = {
        "window_ms": window_ms, "overrides": set_ or [], "config": config,
    }  # fmt: skip
    read = console.gather(mapping, None, {}, tenant=tenant)
    raise typer.Exit(console.history(source, (tenant, user), at, read, wanted, top, as_json=json))
