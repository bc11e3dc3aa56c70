"""Names of metrics and rules, as they are asked for."""

import re
from typing import Any

import yaml

from deploy.observability.questions import QUESTIONS
from deploy.stack import monitoring

RULES = sorted((monitoring.OBSERVABILITY / "rules").glob("*.yaml"))
NAME = re.compile(r"\b(?:flink_|headwater:)[\w:]+")
UNTIL_IT_HAPPENS = re.compile(
    r"stage_(late|without_model|shadow_\w+|texts|cache_misses|freshness_ms_le_\d+)$"
)
"""Counters that PyFlink shows only when they have counted, and those of another job."""


def all_rules(kind: str) -> dict[str, dict[str, Any]]:
    """Rules by name, of the kind `record` or `alert`."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


def asked() -> set[str]:
    """Names in the queries of panels, recordings and alerts."""
    panels = [panel for question in QUESTIONS for panel in question.panels]
    queries = [query for panel in panels for query in panel.queries.values()]
    rules = [*all_rules("record").values(), *all_rules("alert").values()]
    return set(NAME.findall("\n".join([*queries, *(rule["expr"] for rule in rules)])))
