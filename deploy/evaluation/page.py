"""The report as a page of its own: one file, no script, nothing fetched, two languages."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from deploy.evaluation import charts
from deploy.evaluation.breakdown import Group
from deploy.evaluation.charts import Bar, Point, percent
from deploy.evaluation.peers import Line
from deploy.evaluation.report import POPULARITY, SHADOW, Report
from deploy.evaluation.words import Language, words
from deploy.serving.view import span

Words = Mapping[str, Any]
TEMPLATE = "page.html.jinja"
SHADES = ("c1", "c2", "c3", "c4", "c5")
P_SHOWN = 0.001


class Tile(Struct, frozen=True):
    """A number with its name and what it says."""

    name: str
    value: str
    says: str


def render(report: Report, language: Language) -> str:
    """The page as HTML."""
    from jinja2 import Environment, FileSystemLoader, select_autoescape
    from markupsafe import Markup

    said = words(language)
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=select_autoescape(("jinja",)))
    drawn = {name: Markup(drawing) for name, drawing in _charts(report, said).items()}
    return environment.get_template(TEMPLATE).render(
        report=report, language=language, w=said, percent=percent, head=report.headline,
        k=report.how.k, charts=drawn, settings=msgspec.json.format(
            msgspec.json.encode(report.how.settings), indent=2).decode(),
        worst=(("worst_users", report.worst_users), ("worst_items", report.worst_items)),
        models=[_model(line, said) for line in report.models], tiles=_tiles(report, said),
        stars=_stars(report, said), notes=[*report.data.notes, *report.data.samples],
        **_sentences(report, said),
    )  # fmt: skip


def _sentences(report: Report, said: Words) -> dict[str, Any]:
    head, data, how = report.headline, report.data, report.how
    popularity = next((line for line in report.models if line.name == POPULARITY), None)
    moved = said["window_one"].format(moved=span(data.moved_ms_max))
    window = said["window"].format(window=span(how.window_ms))
    beyond = report.beyond
    own = said["own_lists"].format(
        share=percent(beyond.own_lists), age=span(int(beyond.median_age_ms))
    )
    held = said["held_out"].format(count=f"{data.held_out:,}")
    return {
        "headline": said["headline"].format(rows=f"{head.rows:,}", k=how.k),
        "interval": said["interval"].format(low=percent(head.hr.low), high=percent(head.hr.high)),
        "chance": popularity and said["chance"].format(popularity=percent(popularity.hr.value)),
        "span": said["span"].format(from_=_day(data.from_ms), to=_day(data.to_ms)),
        "protocol": [
            said[how.protocol], moved if data.moved_ms_max else window, own,
            *([held] if data.held_out else []),
        ],
        "facts": _facts(report, said),
    }  # fmt: skip


def _facts(report: Report, said: Words) -> list[str]:
    data = report.data
    actions = ", ".join(f"{name} {count:,}" for name, count in data.actions.items())
    counted = {name: getattr(data, name) for name in ("skipped", "duplicates", "dead_letters")}
    return [
        *(f"{getattr(data, name):,} {said[name]}" for name in ("events", "users", "items")),
        actions, data.format,
        *(said[name].format(count=f"{count:,}") for name, count in counted.items() if count),
        said["took"].format(seconds=f"{report.seconds:,.0f}", cpu=f"{report.seconds_cpu:,.0f}"),
    ]  # fmt: skip


def _tiles(report: Report, said: Words) -> list[Tile]:
    head, beyond, k = report.headline, report.beyond, report.how.k
    distance = beyond.intra_list_distance
    values = {
        "ndcg": f"{head.ndcg.value:.4f}", "mrr": f"{head.mrr.value:.4f}",
        "precision": percent(head.precision), "recall": percent(head.recall),
        "f1": percent(head.f1), "coverage": percent(beyond.coverage),
        "novelty": f"{beyond.novelty:.1f}",
        "distance": "–" if distance is None else f"{distance:.2f}", "gini": f"{beyond.gini:.2f}",
        "lift": f"{beyond.popularity_lift:+.0%}", "accuracy": f"{head.accuracy:.4f}",
    }  # fmt: skip
    at_k = {"ndcg", "mrr", "precision", "recall", "f1", "accuracy"}
    return [
        Tile(f"{said[name]}{f'@{k}' if name in at_k else ''}", value, said[f"{name}_says"])
        for name, value in values.items()
    ]


def _stars(report: Report, said: Words) -> list[Tile]:
    if (one := report.ratings) is None:
        return []
    return [
        Tile(said["rmse"], f"{one.rmse.value:.4f}", f"{one.rmse.low:.3f}–{one.rmse.high:.3f}"),
        Tile(said["mae"], f"{one.mae.value:.4f}", f"{one.mae.low:.3f}–{one.mae.high:.3f}"),
        Tile(said["baseline_rmse"], f"{one.baseline_rmse:.4f}", ""),
        Tile(said["mean_rmse"], f"{one.mean_rmse:.4f}", ""),
        Tile(said["like_accuracy"], percent(one.like_accuracy), said["like_accuracy_says"]),
    ]


def _model(line: Line, said: Words) -> dict[str, str]:
    """A row of the table; a difference whose interval spans 0 is neither better nor worse."""
    missing = said["missing"].format(count=f"{line.missing:,}") if line.missing else ""
    shown = {
        "name": _named(line.name, said), "note": " ".join(filter(None, (line.note, missing))),
        "hr": f"{line.hr.value:.4f}", "ndcg": f"{line.ndcg.value:.4f}",
        "second": f"{line.second_half_hr:.4f}", "against": "", "span": "", "p": "", "kind": "",
        "cpu": "" if line.seconds_cpu is None else f"{line.seconds_cpu:,.0f}",
        "coverage": "" if line.coverage is None else percent(line.coverage),
    }  # fmt: skip
    if (against := line.against) is not None:
        one = against.difference
        shown["against"], shown["span"] = f"{one.value:+.4f}", f"{one.low:+.4f} … {one.high:+.4f}"
        shown["kind"] = "better" if one.low > 0 else "worse" if one.high < 0 else ""
        shown["p"] = f"{against.p_value:.3f}" if against.p_value >= P_SHOWN else f"< {P_SHOWN}"
    return shown


def _named(name: str, said: Words) -> str:
    if name.startswith(f"{SHADOW} "):
        return f"{name.removeprefix(f'{SHADOW} ')} ({said['shadow']})"
    return said.get(name, name) if name in {"headwater", POPULARITY} else name


def _charts(report: Report, said: Words) -> dict[str, str]:
    moments = _moments(report)
    return {
        "over_time": charts.line(moments, said["over_time"]),
        "over_time_wide": charts.line(moments, said["over_time"], wide=True),
        "models": charts.forest(_forest(report, said), said["models"]),
        "cold_items": charts.bars(_groups(report.by_item_users), said["cold_items"]),
        "cold_users": charts.bars(_groups(report.by_user_likes), said["cold_users"]),
        "activity": charts.bars(_groups(report.by_activity), said["activity"]),
        "by_source": charts.stack(_sources(report, said), said["by_source"]),
        "pr": charts.line(_precision(report), said["pr"]),
        "coverage_hr": charts.line(_coverage(report), said["coverage_hr"]),
        "misses": charts.stack(_misses(report, said), said["misses"]),
        "selections": charts.bars(_selections(report, said), said["selections"]),
        "weights": charts.diverging(
            _weights(report, said), said["weights"], value=lambda value: f"{value:+.2f}"
        ),
    }


def _moments(report: Report) -> list[Point]:
    many_years = report.data.to_ms - report.data.from_ms > 3 * 31_557_600_000
    return [
        Point(
            place, one.hr.value, one.hr.low, one.hr.high,
            _day(one.from_ms)[:7] if many_years else _day(one.from_ms),
            f"{_day(one.from_ms)} … {_day(one.to_ms)}: {percent(one.hr.value)} "
            f"({percent(one.hr.low)} – {percent(one.hr.high)}), n = {one.rows:,}",
        )
        for place, one in enumerate(report.over_time)
    ]  # fmt: skip


def _groups(groups: Sequence[Group]) -> list[Bar]:
    return [
        Bar(
            one.name, one.hr.value, one.hr.low, one.hr.high, f"n {one.rows:,}",
            f"{one.name}: {percent(one.hr.value)} ({percent(one.hr.low)} – "
            f"{percent(one.hr.high)}), n = {one.rows:,}",
        )
        for one in groups
    ]  # fmt: skip


def _forest(report: Report, said: Words) -> list[Bar]:
    return [
        Bar(
            _named(one.name, said), one.hr.value, one.hr.low, one.hr.high, "",
            f"{_named(one.name, said)}: {one.hr.value:.4f} ({one.hr.low:.4f} – {one.hr.high:.4f})",
            "c1" if place == 0 else "c5",
        )
        for place, one in enumerate(report.models)
    ]  # fmt: skip


def _sources(report: Report, said: Words) -> list[Bar]:
    names = said["sources"]
    return [
        Bar(names.get(one.source, one.source), one.hits, 0, 0, "", f"{one.source}: {one.hits:,}",
            SHADES[place % len(SHADES)])
        for place, one in enumerate(report.by_source)
    ]  # fmt: skip


def _precision(report: Report) -> list[Point]:
    return [
        Point(one["recall"], one["precision"], one["precision"], one["precision"],
              f"{one['k']:g}: {percent(one['recall'])}",
              f"K = {one['k']:g}: precision {percent(one['precision'])}, "
              f"recall {percent(one['recall'])}")
        for one in report.by_k
    ]  # fmt: skip


def _coverage(report: Report) -> list[Point]:
    return [
        Point(one["coverage"], one["hr"], one["hr"], one["hr"], percent(one["coverage"]),
              f"K = {one['k']:g}: coverage {percent(one['coverage'])}, HR {percent(one['hr'])}")
        for one in report.coverage_by_k
    ]  # fmt: skip


def _misses(report: Report, said: Words) -> list[Bar]:
    shades = ("c1", "c2", "c4", "c3", "c5")
    return [
        Bar(said[name], share, 0, 0, "", f"{said[name]}: {percent(share)}", shade)
        for (name, share), shade in zip(report.misses.items(), shades, strict=True)
    ]


def _selections(report: Report, said: Words) -> list[Bar]:
    names = {"second_half": "half"}
    return [
        Bar(said[names.get(one.name, one.name)], one.hr.value, one.hr.low, one.hr.high,
            f"n {one.rows:,}", f"NDCG {one.ndcg.value:.4f}", "c2")
        for one in report.selections
    ]  # fmt: skip


def _weights(report: Report, said: Words) -> list[Bar]:
    meanings = said["features"]
    ordered = sorted(report.weights, key=lambda one: -one.value)
    return [
        Bar(meanings.get(one.feature, one.feature), one.value, 0, 0, one.feature,
            f"{one.feature}: {one.value:+.4f}", "c1" if one.value >= 0 else "c4")
        for one in ordered
    ]  # fmt: skip


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
