"""Writes Grafana's dashboards and the page's panels from `questions`.

`python -m deploy.observability.dashboards` rewrites them; a test tells when that was forgotten.
Needs grafana-foundation-sdk, one of the developers' tools.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

from deploy.observability.questions import QUESTIONS, Panel, Question, Unit

FOLDER = Path(__file__).parent
UNITS: dict[Unit, str] = {
    "ms": "ms", "s": "s", "us": "µs", "records": "short", "per_s": "ops", "ratio": "percentunit",
    "cores": "short", "bytes": "bytes", "count": "short",
}  # fmt: skip
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
HEADLINE_SPAN, CURVES_SPAN, HEIGHT = 6, 12, 8


def thresholds(panel: Panel) -> ThresholdsConfig:
    """Green, orange and red from the bounds of a panel."""
    worse = [(panel.warn, "orange"), (panel.alarm, "red")]
    steps: list[tuple[float | None, str]] = [
        (bound, colour) for bound, colour in worse if bound is not None
    ]
    if panel.more_is_better:  # a colour holds up to the next bound
        bounds, colours = [bound for bound, _ in steps], [colour for _, colour in steps]
        steps = list(zip([None, *reversed(bounds)], [*reversed(colours), "green"], strict=True))
    else:
        steps.insert(0, (None, "green"))
    built = [Threshold(value=bound, color=colour) for bound, colour in steps]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(built)


def legend(name: str) -> str:
    """A legend as Grafana writes it."""
    return f"{{{{{name[1:]}}}}}" if name.startswith("$") else name


def _built(panel: Panel, kind: Any, span: int) -> Any:
    builder = (
        kind()
        .title(panel.title)
        .description(panel.meaning)
        .unit(UNITS[panel.unit])
        .datasource(SOURCE)
        .thresholds(thresholds(panel))
        .min(0)
        .span(span)
        .height(HEIGHT)
    )
    for name, expression in panel.queries.items():
        builder.with_target(Dataquery().expr(expression).legend_format(legend(name)))
    return builder


def dashboard(question: Question) -> dict[str, Any]:
    """The JSON of one dashboard: headlines, then curves of everything."""
    builder = (
        Dashboard(f"Headwater: {question.asks}")
        .uid(f"headwater-{question.name}")
        .tags(["headwater"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .editable()
        .with_variable(DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for panel in question.panels:
        if panel.headline:
            builder.with_panel(_built(panel, Stat, HEADLINE_SPAN))
    below = VizLegendOptions().display_mode(LegendDisplayMode.LIST)
    below.placement(LegendPlacement.BOTTOM).show_legend(show_legend=True)
    for panel in question.panels:
        builder.with_panel(_built(panel, Timeseries, CURVES_SPAN).legend(below).fill_opacity(8))
    found: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    return found


def files() -> dict[Path, str]:
    """Path → text of all generated files."""
    found = {
        FOLDER / "grafana" / f"{question.name}.json": json.dumps(
            dashboard(question), indent=1, sort_keys=True, ensure_ascii=False
        )
        + "\n"
        for question in QUESTIONS
    }
    panels = msgspec.json.format(msgspec.json.encode(QUESTIONS), indent=1).decode() + "\n"
    return {**found, FOLDER / "consoles" / "questions.json": panels}


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
