"""The evaluation commands as a person sees them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from deploy.evaluation import evaluate as work
from deploy.evaluation import history as past
from deploy.evaluation import page, tuning
from deploy.evaluation.intervals import Estimate
from deploy.evaluation.report import Report
from deploy.evaluation.sources import require
from deploy.evaluation.words import Language
from deploy.replay import console as replay
from deploy.replay.options import Options as ReadOptions
from deploy.replay.progress import show_on
from deploy.serving import tables


def gather(
    mapping: Path | None,
    items: Path | None,
    pairs: Mapping[str, list[str] | None],
    **settings: Any,
) -> ReadOptions:
    """Options of reading, of the command line and the mapping file."""
    if settings.get("delimiter"):
        settings["delimiter"] = settings["delimiter"].replace("\\t", "\t")
    given = {name: pairs.get(name) or [] for name in ("--map", "--map-action", "--map-item")}
    return replay.gather(mapping, settings, given, items)


def evaluate(
    place: Path, read: ReadOptions, wanted: Mapping[str, Any], folder: Path, language: Language
) -> int:
    """Evaluate a data set, write the report, print the numbers; the exit code."""
    require("jinja2", "scipy")
    options = work.Options(read=read, **wanted)
    with show_on(Console(stderr=True)) as show:
        report = work.evaluate(place, options, show)
    write(report, folder, language)
    console = Console()
    console.print(summary(report))
    console.print(f"{folder / 'report.html'}", soft_wrap=True, highlight=False, markup=False)
    return 0


def tune(
    place: Path, read: ReadOptions, wanted: Mapping[str, Any], trials: int, only: list[str],
    out: Path,
) -> int:  # fmt: skip
    """Search, write the settings found, print the trials; the exit code."""
    require("optuna", "scipy")
    options, space = work.Options(read=read, **wanted), tuning.only(only)
    console = Console(stderr=True)

    def tell(number: int, trial: tuning.Trial) -> None:
        values = ", ".join(f"{name} {value:g}" for name, value in trial.values.items())
        line = f"{number}/{trials}: HR {trial.hr:.4f}, NDCG {trial.ndcg:.4f} with {values}"
        console.print(line, highlight=False, soft_wrap=True)

    with show_on(console) as show:
        found = tuning.tune(place, options, trials, space, show, tell)
    out.parent.mkdir(parents=True, exist_ok=True)
    text = tuning.as_toml(found, place, options)
    out.write_text(text, "utf-8")
    Console().print(text, highlight=False, markup=False, soft_wrap=True)
    return 0


def history(
    place: Path | None, whose: tuple[str, str], at: str, read: ReadOptions,
    wanted: Mapping[str, Any], top: int, *, as_json: bool,
) -> int:  # fmt: skip
    """Print the list of a user at a time; the exit code."""
    at_ms, options = past.parse_time(at), work.Options(read=read, **wanted)
    errors = Console(stderr=True)
    with show_on(errors) as show:
        shown, notes = past.list_at(place, whose, at_ms, options, show, top)
    for note in notes:
        errors.print(note, markup=False, highlight=False, soft_wrap=True)
    console = tables.wide_console()
    if as_json:
        console.file.write(msgspec.json.format(msgspec.json.encode(shown)).decode() + "\n")
    else:
        console.print(tables.user_list(shown))
    return 0


def write(report: Report, folder: Path, language: Language) -> None:
    """Write report.json and report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = msgspec.json.format(msgspec.json.encode(report), indent=2)
    (folder / "report.json").write_bytes(raw + b"\n")
    (folder / "report.html").write_text(page.render(report, language), "utf-8")


def summary(report: Report) -> Table:
    """The numbers on one screen."""
    data, head, how = report.data, report.headline, report.how
    days = f"{_day(data.from_ms)} to {_day(data.to_ms)}"
    table = Table(
        title=f"{data.name}: {data.events:,} events, {data.users:,} users, {data.items:,} items, "
        f"{days}\n{how.protocol}, {head.rows:,} positives, batches of {how.window_ms:,} ms",
        title_justify="left",
    )  # fmt: skip
    for column in ("model", f"HR@{how.k}", "95 %", f"NDCG@{how.k}", "served minus it", "CPU s"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for line in report.models:
        against = line.against.difference if line.against else None
        cost = "" if line.seconds_cpu is None else f"{line.seconds_cpu:,.0f}"
        table.add_row(
            line.name, f"{line.hr.value:.4f}", _span(line.hr), f"{line.ndcg.value:.4f}",
            f"{against.value:+.4f} ({_span(against)})" if against else "", cost,
        )  # fmt: skip
    if report.ratings:
        stars = report.ratings
        table.caption = f"ratings: RMSE {stars.rmse.value:.4f}, MAE {stars.mae.value:.4f}"
    return table


def _span(one: Estimate) -> str:
    return f"{one.low:.4f}–{one.high:.4f}"


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
