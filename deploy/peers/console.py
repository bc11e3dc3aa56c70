"""`headwater peers` as a person sees it."""

from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from deploy.connections import settings_file
from deploy.peers.comparing import Compared, Plan, compare
from deploy.peers.interactions import Interactions, interactions
from deploy.peers.parameters import DEFAULTS, choose, read
from deploy.peers.results import Result, hit_rate, ndcg
from deploy.replay.options import Options as Reading
from deploy.replay.options import read_options, with_settings
from deploy.replay.progress import show_on
from deploy.replay.readers import open_source
from deploy.stack import load_settings
from jobs import settings as configuration
from jobs.settings import Recommend

K = 10


class Options(Struct, frozen=True, kw_only=True):
    """What the command was asked for.

    Attributes:
        config: Settings file, for the strengths of actions and the home folder.
        only: Names of peers, `NAME,NAME`; None for all.
        parameters: File of parameters; None for the one that comes with the project.
        every: Interactions between two trainings.
        tune: Whether to look for better parameters first.
        limit: Events to read at the most.
        out: Folder of the results.
    """

    config: Path | None = None
    only: str | None = None
    parameters: Path | None = None
    every: int | None = None
    tune: bool = False
    limit: int | None = None
    out: Path


def reading(mapping: Path | None, **settings: object) -> Reading:
    """How to read the data set: a mapping file, and what overrides it."""
    return with_settings(read_options(mapping) if mapping else Reading(), **settings)


def run(source: Path, how: Reading, options: Options) -> int:
    """Read a data set, run the peers, print the table.

    Returns:
        The exit code: 0, or 1 if a peer failed.

    Raises:
        HeadwaterError: If the data set, the settings or the parameters cannot be read.
    """
    console = Console()
    settings = read(options.parameters or DEFAULTS)
    names = choose(settings, options.only)
    plan = Plan(
        settings={name: settings[name] for name in names},
        every=options.every,
        tune=options.tune,
        environments=Path(load_settings(options.config).home).absolute() / "peers",
        out=options.out,
    )
    strengths = configuration.load(Recommend, settings_file(options.config)).strengths
    errors = Console(stderr=True)
    with show_on(errors) as show:
        show.begin(f"reading {source.name}", None)
        data = open_source(source, how, show)
        given = interactions(data.records(options.limit), strengths)
        compared = compare(
            given,
            plan,
            show,
            lambda text: errors.print(text, markup=False, highlight=False, soft_wrap=True),
        )
    print_table(console, given, compared)
    console.print(f"a file each in {options.out}", markup=False, highlight=False, soft_wrap=True)
    return 1 if compared.failed else 0


def print_table(console: Console, given: Interactions, compared: Compared) -> None:
    """Print a line a peer, and the reasons of those that gave none."""
    stream = given.stream
    console.print(
        f"{len(given.event_ids):,} interactions, {stream.user_count:,} users, "
        f"{stream.item_count:,} items",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("peer", f"HR@{K}", f"NDCG@{K}", "coverage", "MAE", "RMSE", "every", "CPU s"):
        table.add_column(heading, justify="left" if heading == "peer" else "right")
    for result in compared.results:
        table.add_row(*_cells(result, len(given.event_ids)))
    console.print(table)
    for name, reason in (compared.unfit | compared.failed).items():
        console.print(f"{name}: {reason}", markup=False, highlight=False, soft_wrap=True)


def _cells(result: Result, interactions_all: int) -> list[str]:
    lists, errors = result.outcomes, result.errors
    every = "event" if result.every >= interactions_all else f"{result.every:,}"
    return [
        result.name,
        f"{hit_rate(lists, K):.4f}" if lists else "",
        f"{ndcg(lists, K):.4f}" if lists else "",
        f"{result.coverage:.2f}" if result.coverage is not None else "",
        f"{errors.mae:.4f}" if errors else "",
        f"{errors.rmse:.4f}" if errors else "",
        every,
        f"{result.seconds_cpu:,.1f}",
    ]
