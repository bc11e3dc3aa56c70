"""Names, options and help of the reading commands; the work is imported when one runs."""

from pathlib import Path
from typing import Annotated, Optional

import typer

Config = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this annotation at run time
    typer.Option("--config", "-c", envvar="HEADWATER_CONFIG", help="Settings file."),
]
Tenant = Annotated[str, typer.Option(help="Whose data.")]
Top = Annotated[int, typer.Option(min=1, help="Items at the most.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (show, similar, trending, profile, erase, export):
        app.command()(command)


def show(
    user: Annotated[str, typer.Argument(help="User id, or session id.")],
    config: Config = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until Ctrl-C.")] = False,
    surface: Annotated[str, typer.Option(help="Where the list is for.")] = "home",
    segment: Annotated[str, typer.Option(help="Merge this segment's popular items in.")] = "",
    tenant: Tenant = "default",
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="ITEM", help="Leave this out; repeatable.")
    ] = None,
    top: Top = 10,
    json: Json = False,
) -> None:
    """Show a user's list: titles, scores, reasons, how old it is, and whether it is a fallback."""
    from deploy.serving import console

    query = console.Query(
        tenant=tenant, user=user, surface=surface, segment=segment, exclude=exclude or [], top=top
    )
    raise typer.Exit(console.show(config, query, as_json=json, watch=watch))


def similar(
    item: Annotated[str, typer.Argument(help="Item id.")],
    config: Config = None,
    tenant: Tenant = "default",
    top: Top = 10,
    *,
    json: Json = False,
) -> None:
    """Show what goes with an item: by what people do, and by what items say."""
    from deploy.serving import console

    raise typer.Exit(console.similar(config, tenant, item, top, as_json=json))


def trending(
    segment: Annotated[
        str, typer.Argument(help="all, all_time, 1h, 1d, 30d, category:NAME or segment:NAME.")
    ] = "all",
    config: Config = None,
    tenant: Tenant = "default",
    top: Top = 10,
    *,
    json: Json = False,
) -> None:
    """Show what is popular."""
    from deploy.serving import console

    raise typer.Exit(console.trending(config, tenant, segment, top, as_json=json))


def profile(
    user: Annotated[str, typer.Argument(help="User id, or session id.")],
    config: Config = None,
    tenant: Tenant = "default",
    *,
    hide: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Forget this tag; repeatable.")
    ] = None,
    show: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Let it come back; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what is kept of a user: interests, tags and mood, each with its reason."""
    from deploy.serving import console

    if hide or show:
        console.hide(config, tenant, user, hide or [], show or [])
    raise typer.Exit(console.profile(config, tenant, user, as_json=json))


def erase(
    user: Annotated[str, typer.Argument(help="User id.")],
    config: Config = None,
    tenant: Tenant = "default",
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Until no row is left.")] = False,
    json: Json = False,
) -> None:
    """Forget a user: rows, counters, what others learned from the user's events, dead letters."""
    from deploy.serving import console

    raise typer.Exit(console.erase(config, tenant, user, wait=wait, as_json=json))


def export(
    user: Annotated[str, typer.Argument(help="User id, or session id.")],
    config: Config = None,
    tenant: Tenant = "default",
    *,
    out: Annotated[
        Path | None, typer.Option(help="File of the JSON; default: standard output.")
    ] = None,
) -> None:
    """Write all that is held on a user as JSON: lists, profile, records in Kafka."""
    from deploy.serving import console

    raise typer.Exit(console.export(config, tenant, user, out))
