"""The real Prometheus with the stack's settings, on pages that a running job once gave."""

import http.server
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.observability.questions import QUESTIONS
from deploy.stack import monitoring
from deploy.stack.layout import Layout
from deploy.stack.settings import StackSettings
from tests.conftest import free_ports

SCRAPED = Path(__file__).parent / "scraped"
SAMPLE = re.compile(r"(?P<name>\w+)(?P<labels>\{.*\})? (?P<value>\S+)$")
GROWS = re.compile(r"stage_(?!listed_items)|CPU_Time|numberOfCompletedCheckpoints|_uptime")
PANELS = [panel for question in QUESTIONS for panel in question.panels]


def page(text: str, elapsed_s: float) -> str:
    """The page as it would look a while later: counters have grown by a hundredth each second."""
    lines = []
    for line in text.splitlines():
        name, labels, value = SAMPLE.match(line).groups()
        if name.endswith("CompletedTimestamp"):
            value = 1000 * (time.time() - 20)
        elif GROWS.search(name):
            value = float(value) * (1 + elapsed_s / 100)
        lines.append(f"{name}{labels or ''} {value}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StackSettings:
    return StackSettings(home=str(tmp_path_factory.mktemp("watched")), **free_ports())


@pytest.fixture(scope="module")
def flink(settings: StackSettings) -> Iterator[list[str]]:
    """Names of the processes whose pages are served where Prometheus looks for them."""
    started = time.monotonic()

    def handler(text: str) -> type[http.server.BaseHTTPRequestHandler]:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(page(text, time.monotonic() - started).encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    servers = []
    for path in sorted(SCRAPED.glob("*.txt")):
        address = ("127.0.0.1", settings.metrics_port(path.stem))
        servers.append(http.server.ThreadingHTTPServer(address, handler(path.read_text())))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
    yield [path.stem for path in SCRAPED.glob("*.txt")]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def prometheus(settings: StackSettings, flink: list[str]) -> Iterator[str]:
    """Address of a Prometheus that has seen the pages several times."""
    if monitoring.program() is None:
        pytest.skip(f"Prometheus is not here: {monitoring.ADVICE}")
    layout = Layout(settings.home_path)
    layout.make()
    monitoring.follow(flink, settings, layout)
    launch = monitoring.launch(settings, layout)
    file = layout.conf / "prometheus" / "prometheus.yaml"
    config = yaml.safe_load(file.read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    file.write_text(yaml.safe_dump(config))
    with (layout.home / "log").open("w") as log:
        process = subprocess.Popen(launch.command, env=launch.env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{settings.port('prometheus_port')}"
    try:
        deadline = time.monotonic() + 60
        while unanswered(address):
            assert process.poll() is None, (layout.home / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, f"no data: {unanswered(address)}"
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def ask(address: str, path: str, **parameters: str) -> Any:
    url = f"{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


def unanswered(address: str) -> list[str]:
    """Queries of panels that give nothing; all of them before Prometheus listens."""
    queries = [query for panel in PANELS for query in panel.queries.values()]
    try:
        return [query for query in queries if not ask(address, "query", query=query)["result"]]
    except OSError:
        return queries


def test_every_panel_has_data_and_every_rule_can_be_computed(prometheus: str) -> None:
    groups = ask(prometheus, "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    assert len(rules) > 40
    assert {alert["labels"]["alertname"] for alert in ask(prometheus, "alerts")["alerts"]
            if alert["state"] == "firing"} == set()  # fmt: skip


def test_each_flink_process_is_scraped_under_its_name(prometheus: str, flink: list[str]) -> None:
    up = ask(prometheus, "query", query="up")["result"]
    assert {one["metric"]["process"]: one["value"][1] for one in up} == dict.fromkeys(flink, "1")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_answers_the_four_questions_in_a_browser(prometheus, width, tmp_path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not here: apt-get install chromium")
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
         "--virtual-time-budget=9000", f"--window-size={width},900", "--dump-dom",
         f"{prometheus}/{monitoring.PAGE}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    shown = done.stdout
    assert 'data-drawn="yes"' in shown, done.stderr[-2000:]
    assert 'data-wider="no"' in shown
    for text in [*(one.asks for one in QUESTIONS), *(panel.title for panel in PANELS)]:
        assert f">{text.replace('&', '&amp;')}<" in shown
    assert shown.count("<svg") == len(PANELS)
    assert 'class="none"' not in shown
    assert "No alert is firing." in shown
    headlines = re.findall(r'<div class="now [^"]*">([^<]*)</div>', shown)
    assert len(headlines) == sum(panel.headline for panel in PANELS)
    assert all(re.match(r"\d", text) for text in headlines), headlines
