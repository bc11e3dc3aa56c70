"""Embeds the rule files of Prometheus in a PrometheusRule, the form that its operator reads.

`python -m k8s.prometheus_rules` rewrites the manifest; a test tells when that was forgotten.
"""

from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parent.parent
RULES = PROJECT / "deploy" / "observability" / "rules"
MANIFEST = PROJECT / "k8s" / "base" / "prometheus-rules.yaml"
NOTE = "# Made of deploy/observability/rules/*.yaml by `python -m k8s.prometheus_rules`.\n"


def groups(folder: Path) -> list[dict[str, Any]]:
    """All groups of all rule files, by the files' names.

    Raises:
        ValueError: A file holds something else than a table with `groups`.
    """
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.yaml")):
        rules = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(rules, dict) or set(rules) != {"groups"}:
            msg = f"{path}: a rule file of Prometheus holds `groups` and nothing else"
            raise ValueError(msg)
        found += rules["groups"]
    return found


def manifest(folder: Path) -> str:
    """The text of the manifest for the rule files of a folder."""
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "headwater"},
        "spec": {"groups": groups(folder)},
    }
    return NOTE + yaml.safe_dump(resource, sort_keys=False, width=100, allow_unicode=True)


if __name__ == "__main__":
    MANIFEST.write_text(manifest(RULES), "utf-8")
