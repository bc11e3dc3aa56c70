"""Prometheus beside the stack, where the machine has it: scrapes Flink, watches, shows a page."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml

from deploy.stack import render
from deploy.stack.layout import PACKAGE, Layout
from deploy.stack.services import PROMETHEUS, Launch, clean_environment
from deploy.stack.settings import HOST, StackSettings

OBSERVABILITY = PACKAGE.parent / "observability"
PAGE = "consoles/headwater.html"
ADVICE = "install Prometheus (Debian: apt-get install prometheus); all else runs without it"
RETENTION = "7d"


def program() -> str | None:
    """Path of the `prometheus` program, if there is one."""
    return shutil.which("prometheus")


def wanted(settings: StackSettings) -> bool:
    """Whether the settings ask for Prometheus and the machine has it."""
    return settings.watches and program() is not None


def page(settings: StackSettings) -> str:
    """Address of the page with the four questions."""
    return f"http://{HOST}:{settings.port('prometheus_port')}/{PAGE}"


def prepare(settings: StackSettings, layout: Layout) -> Path:
    """Writes its configuration; returns the file."""
    folder = layout.conf / "prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load((OBSERVABILITY / "prometheus.yaml").read_text("utf-8"))
    config["rule_files"] = [str(OBSERVABILITY / "rules" / "*.yaml")]
    flink = next(one for one in config["scrape_configs"] if one["job_name"] == "flink")
    flink["file_sd_configs"] = [{"files": [str(_targets(layout))]}]
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    return file


def launch(settings: StackSettings, layout: Layout) -> Launch:
    """The server, on the loopback alone."""
    config = prepare(settings, layout)
    command = [
        program() or "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={layout.data / 'prometheus'}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address={HOST}:{settings.port('prometheus_port')}",
        f"--web.console.templates={OBSERVABILITY / 'consoles'}",
        f"--web.console.libraries={OBSERVABILITY / 'consoles'}",
    ]
    (layout.data / "prometheus").mkdir(parents=True, exist_ok=True)
    fingerprint = render.digest(command, config.read_text("utf-8"))
    return Launch(PROMETHEUS, command, clean_environment(), fingerprint)


def follow(names: Iterable[str], settings: StackSettings, layout: Layout) -> None:
    """Tells Prometheus which Flink processes there are; it notices by itself."""
    ports = {name: settings.metrics_port(name) for name in names}
    groups = [
        {"targets": [f"{HOST}:{port}"], "labels": {"process": name}}
        for name, port in sorted(ports.items())
        if port is not None
    ]
    file = _targets(layout)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(groups), "utf-8")
    fresh.replace(file)


def _targets(layout: Layout) -> Path:
    return layout.conf / "prometheus" / "flink.json"
