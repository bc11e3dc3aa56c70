"""`headwater evaluate` from a file to the report, through the job on a local mini cluster."""

import json
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.evaluation.judged import gather
from deploy.evaluation.metrics import hits
from deploy.evaluation.report import Report
from deploy.stack.processes import command_of, processes
from operators.events import Border, Interaction, parse_event, parse_item
from operators.parameters import LearningSettings, Shadow
from tests.graph import Graph
from tests.waiting import wait_for

pytestmark = pytest.mark.flink

SHADOWS = {"frozen": Shadow(weights={"c0": 4.0}), "popular": Shadow(kind="popular")}
START_S = 1_500_000_000
FAR_MS = 2**52


def data_set(folder):
    """Clicks of users who keep to one of two halves of the shop; many share their second."""
    rng, rows = random.Random(1), ["who,what,did,when"]
    for turn in range(30):
        for user in range(12):
            item = user % 2 * 15 + rng.randrange(15)
            word = rng.choice(("look", "look", "buy"))
            rows.append(f"u{user},i{item},{word},{START_S + 7 * turn + user // 6}")
    rows.append(rows[5])
    path = folder / "clicks.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def foreseen_in_memory(run):
    """What the same stages say of the same events, each a batch of its own."""
    border = Border()
    items = [parse_item(line, FAR_MS, border) for line in (run / "items").read_bytes().split()]
    events = [parse_event(line, FAR_MS, border) for line in (run / "events").read_bytes().split()]
    graph, outcomes = Graph(learning=LearningSettings(), shadows=SHADOWS), []
    for event in events:
        mine = [item for item in items if item.event_time == event.event_time]
        outs = graph.run([*mine, event]).get("outcomes", [])
        outcomes += [out.message for out in outs]
    return gather(outcomes)


def test_a_file_of_clicks_becomes_a_report(tmp_path):
    report, run = tmp_path / "report", tmp_path / "run"
    done = CliRunner().invoke(
        app,
        ["evaluate", str(data_set(tmp_path)), "--report", str(report), "--keep", str(run),
         "--window-ms", "1", "--map", "user_id=who", "--map", "item_id=what",
         "--map", "event_time=when", "--map", "action=did", "--map-action", "look=view",
         "--map-action", "buy=purchase", "--language", "zh", "--set", "popular_ms=1",
         "--set", "shadows.frozen.weights.c0=4", "--set", "shadows.popular.kind=popular"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = msgspec.json.decode((report / "report.json").read_bytes(), type=Report)
    assert (found.data.events, found.data.duplicates, found.data.dead_letters) == (360, 1, 0)
    assert found.data.actions.keys() == {"view", "purchase"}
    assert found.how.settings["window_ms"] == 1
    assert 'lang="zh"' in (report / "report.html").read_text()
    expected = foreseen_in_memory(run)
    rows = expected.positives()
    assert found.headline.rows == rows.sum() > 100
    assert found.headline.hr.value == pytest.approx(hits(expected.rank[rows], 10).mean())
    lines = {line.name: line for line in found.models}
    assert found.headline.hr.value > lines["popularity"].hr.value
    for name, ranks in expected.shadows.items():
        line = lines[f"shadow {name}"]
        assert line.hr.value == pytest.approx(hits(ranks[rows], 10).mean())
        assert line.hr.value != found.headline.hr.value
    assert {one.feature for one in found.weights} >= {"c0", "pop"}, "learned on the way"
    assert json.loads((report / "report.json").read_text())["seconds_cpu"] > 0


def commands_of(session: int) -> list[str]:
    """Command lines of the processes of a session."""
    return [command_of(one.pid) for one in processes() if one.session == session]


def test_a_job_ends_with_an_evaluation_that_is_killed_outright(tmp_path):
    """It has work for minutes, and is gone in seconds."""
    event = Interaction(event_id="e", event_time=START_S * 1000, user_id="u", item_id="i",
                        action="view")  # fmt: skip
    line = msgspec.json.encode(event) + b"\n"
    (tmp_path / "events").write_bytes(line * 2_000_000)
    (tmp_path / "items").write_text("")
    program = (
        "from pathlib import Path\nfrom deploy.evaluation.runner import run\n"
        f"run(Path({str(tmp_path)!r}), ['clock=replay'])"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as running:
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
        try:
            # A session of its own, named like its first process.
            wait_for(children.read_text, "a job", 90)
            (job,) = map(int, children.read_text().split())
            wait_for(lambda: any("java" in one for one in commands_of(job)), "its JVM", 90)
        finally:
            running.kill()
    wait_for(lambda: not commands_of(job), "the end of the job", 45)
