"""Names that are asked for exist, generated files are current, every alert fires when it should."""

import ast
import json
import re
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from deploy.observability import dashboards
from deploy.observability.questions import QUESTIONS, STAGE
from deploy.stack import monitoring, render
from operators.flink.metrics import StageMetrics
from operators.flink.parsing import ParseRecords
from operators.flink.writing import RowsWriter
from operators.parsing import of_weights
from tests.flink.fakes import FakeContext
from tests.observability.names import RULES, all_rules, asked
from udfs.handler import Failure, Phase

HERE = Path(__file__).parent
FOLDER = monitoring.OBSERVABILITY
PROJECT = FOLDER.parent.parent


def documented() -> tuple[set[str], set[str]]:
    """(Headwater's own, Flink's) names of the tables in the README."""
    text = (FOLDER / "README.md").read_text()
    _, own, flinks = text.split("\n## Metrics of ")
    first = [line.split("|")[1] for line in (own + flinks).splitlines() if line.startswith("| `")]
    names = re.findall(r"`(\w+)`", " ".join(first))
    flink = {name for name in names if name.startswith("flink_")}
    return set(names) - flink, flink


class Recorder(FakeContext):
    """Remembers the names of all metrics that were made."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.prefix = ""

    def add_group(self, name: str, value: str = "") -> "Recorder":
        group = Recorder()
        group.names = self.names
        group.prefix = self.prefix if name == "stage" else f"{self.prefix}{name}_"
        return group

    def counter(self, name: str) -> Any:
        self.names.add(self.prefix + name)
        return super().counter(name)

    def gauge(self, name: str, value: Any) -> None:
        self.names.add(self.prefix + name)


@pytest.fixture
def in_code() -> set[str]:
    """Names of all metrics that the operators make."""
    context = Recorder()
    StageMetrics(context, "any")
    ParseRecords(of_weights).open(context)
    RowsWriter(None, None, context)
    stages = [*PROJECT.glob("operators/*.py"), PROJECT / "jobs" / "read_functions.py"]
    return context.names.union(*map(counted, stages))


def counted(path: Path) -> set[str]:
    """Names that a stage counts, `Out(COUNT, "name", …)`, or a function, `self._count("name")`."""
    names = set()
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call):
            continue
        if getattr(call.func, "id", "") == "Out" and getattr(call.args[0], "id", "") == "COUNT":
            names.add(plain(call.args[1]))
        elif getattr(call.func, "attr", "") == "_count" and path.name == "read_functions.py":
            names |= spelt(call.args[0])
    return names


def plain(name: ast.expr) -> str:
    """A literal name, or one that a label goes before."""
    if isinstance(name, ast.Call):
        label, _, counter = name.args
        return f"{ast.literal_eval(label)}_{ast.literal_eval(counter)}"
    return str(ast.literal_eval(name))


def spelt(name: ast.expr) -> set[str]:
    """A literal name, or all names that one with the phase of a failure may be."""
    text = ast.unparse(name)
    if "failure.phase" not in text:
        return {ast.literal_eval(name)}
    return {eval(text, {"failure": Failure(phase, "")}) for phase in get_args(Phase)}


def test_the_table_names_every_metric_of_the_operators_and_no_other(in_code) -> None:
    own, _ = documented()
    assert own == {re.sub(r"_le_(?!50$|60000$)\d+$", "_le_50", name) for name in in_code}


def test_every_name_that_is_asked_for_is_recorded_or_in_the_table(in_code) -> None:
    _, flinks = documented()
    known = {STAGE + name for name in in_code} | flinks | set(all_rules("record"))
    assert asked() - known == set()
    assert flinks <= asked(), "the table of Flink's metrics names one that nobody asks for"
    assert set(all_rules("record")) <= asked(), "a recording that nobody asks for"


def unreported(scope: str, name: str) -> bool:
    """Whether Flink's reporter leaves a metric out, by the rules of its filter."""
    for one in render.UNREPORTED:
        scopes, _, names = one.partition(":")
        if fnmatchcase(scope, scopes) and any(
            fnmatchcase(name, form) for form in (names or "*").split(",")
        ):
            return True
    return False


def test_nothing_that_is_asked_for_is_left_out_by_the_reporter() -> None:
    scopes = ("taskmanager.job.task.operator", "taskmanager.job.task", "jobmanager.job")
    for metric in sorted(name for name in asked() if name.startswith("flink_")):
        told = metric.removeprefix("flink_")
        for scope in (scope for scope in scopes if told.startswith(scope.replace(".", "_"))):
            assert not unreported(scope, told[len(scope) + 1 :]), metric
    operator = scopes[0]
    assert unreported(f"{operator}.KafkaSourceReader.KafkaConsumer", "connection_count")
    assert unreported(operator, "numBytesIn")
    assert not unreported(operator, "numRecordsIn")
    assert not unreported(scopes[1], "backPressuredTimeMsPerSecond")


def test_the_generated_files_are_current() -> None:
    found = dashboards.files()
    for path, text in found.items():
        command = "python -m deploy.observability.dashboards"
        assert path.read_text("utf-8") == text, f"{path} is not current, run: {command}"
    kept = {*FOLDER.glob("grafana/*"), *FOLDER.glob("consoles/*.json")}
    assert kept == set(found)


def test_a_dashboard_shows_each_panel_with_its_unit_bounds_and_queries() -> None:
    for question in QUESTIONS:
        made = json.loads((FOLDER / "grafana" / f"{question.name}.json").read_text())
        curves = {p["title"]: p for p in made["panels"] if p["type"] == "timeseries"}
        assert set(curves) == {panel.title for panel in question.panels}
        heads = {p["title"] for p in made["panels"] if p["type"] == "stat"}
        assert heads == {panel.title for panel in question.panels if panel.headline}
        for panel in question.panels:
            shown = curves[panel.title]
            assert [t["expr"] for t in shown["targets"]] == list(panel.queries.values())
            steps = [s["value"] for s in shown["fieldConfig"]["defaults"]["thresholds"]["steps"]]
            bounds = sorted(b for b in (panel.warn, panel.alarm) if b is not None)
            assert steps == [None, *bounds]


def test_no_text_of_the_page_means_something_to_prometheus_templates() -> None:
    for path in (FOLDER / "consoles").iterdir():
        assert "{{" not in path.read_text(), path
    # The page's questions are served as if they were HTML.
    assert "<" not in (FOLDER / "consoles" / "questions.json").read_text()


def test_every_alert_is_explained_in_the_guide_and_says_what_it_costs_whom() -> None:
    guide = (PROJECT / "deploy" / "README.md").read_text()
    for name, rule in all_rules("alert").items():
        assert f"**{name}**" in guide, f"deploy/README.md says nothing of {name}"
        assert set(rule["annotations"]) == {"summary", "impact"}, name
        assert rule["labels"]["severity"] in {"page", "ticket"}, name


# --- with promtool -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not here: apt-get install prometheus")
    return found


def test_promtool_takes_the_rules(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "rules", *map(str, RULES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_alert_fires_and_stays_silent_on_numbers_of_its_own(promtool: str) -> None:
    files = sorted(HERE.glob("alerts*.yaml"))
    command = [promtool, "test", "rules", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [case for file in files for case in yaml.safe_load(file.read_text())["tests"]]
    tried = [
        (a["alertname"], bool(a["exp_alerts"])) for c in cases for a in c.get("alert_rule_test", [])
    ]
    wanted = {(name, fires) for name in all_rules("alert") for fires in (True, False)}
    assert set(tried) == wanted, "each alert has a case that fires and one that does not"
