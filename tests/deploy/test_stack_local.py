"""The stack's logic with services that are small shell and Python programs."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from deploy.stack import monitoring, processes, readiness, services, starting
from deploy.stack.errors import PortTakenError, ServiceError, StackError
from deploy.stack.layout import Layout
from deploy.stack.local import Stack
from deploy.stack.processes import Record
from deploy.stack.reporting import PlainReport, reporter, silent
from deploy.stack.services import Launch, Tools
from deploy.stack.settings import StackSettings
from tests.running import pids

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack whose services all sleep, are ready at once, and have no topics or tables."""
    settings = StackSettings(
        home=str(tmp_path / "home"), stop_timeout_s=5, start_timeout_s=5, prometheus=False
    )
    made = Stack(settings)

    def launch(name: str) -> Callable[..., Launch]:
        return lambda *_: Launch(name, SLEEP, ENV, "config")

    def flink(name: str, config: str, *_: object) -> Launch:
        return Launch(name, SLEEP, ENV, config, "" if name == "jobmanager" else name)

    tools = Tools(tmp_path, tmp_path, tmp_path, Path(sys.executable))
    starter = starting.Starter(
        made.settings, made.layout, tools, lambda *_, **__: None, threading.Event()
    )
    monkeypatch.setattr(Stack, "_starter", lambda *_: starter)
    monkeypatch.setattr("deploy.stack.local.require_free", list)
    monkeypatch.setattr(services, "kafka", launch("kafka"))
    monkeypatch.setattr(services, "cassandra", launch("cassandra"))
    monkeypatch.setattr(services, "prepare_flink", lambda *_: "config")
    monkeypatch.setattr(services, "flink_process", flink)
    for part, name in (("kafka", "kafka"), ("cassandra", "cassandra")):
        monkeypatch.setattr(starting.Starter, part, sleeper(name))
    monkeypatch.setattr(readiness, "answers", lambda *_: True)
    yield made
    made.down()


def sleeper(name: str) -> Callable[[starting.Starter], None]:
    """Stands in for a service's start: the launch alone, without what it then sets up."""

    def start(self: starting.Starter) -> None:
        launch = Launch(name, SLEEP, ENV, "config")
        if self._running(launch) is None:
            self._start(launch)

    return start


def states(stack: Stack) -> dict[str, str]:
    return {one.service: one.state for one in stack.status()}


def test_a_taskmanager_whose_python_cannot_start_any_more_is_replaced(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.up(taskmanagers=2)
    before = pids(stack)
    trace = (
        "java.lang.Error: java.lang.InterruptedException\n\tat "
        "pemja.core.PythonInterpreter$MainInterpreter.initialize(PythonInterpreter.java:406)"
    )
    failures = [
        {"stacktrace": trace, "taskManagerId": "taskmanager-2"},
        {"stacktrace": "java.io.IOException: lost", "taskManagerId": "taskmanager-1"},
        {"stacktrace": trace, "taskManagerId": None},
    ]

    def answer(url: str) -> object:
        if url.endswith("/jobs/overview"):
            return {"jobs": [{"jid": "j", "start-time": 1}]}
        assert "/jobs/j/exceptions" in url
        return {"exceptionHistory": {"entries": failures}}

    monkeypatch.setattr(readiness, "get_json", answer)
    assert stack.up() == ["taskmanager-2"]
    now = pids(stack)
    assert {name for name, pid in now.items() if pid != before[name]} == {"taskmanager-2"}


def test_up_starts_everything_and_a_second_one_nothing(stack: Stack) -> None:
    everything = ["kafka", "cassandra", "jobmanager", "taskmanager-1"]
    assert stack.up() == everything
    before = pids(stack)
    assert sorted(before) == sorted(everything)
    assert stack.up() == []
    assert pids(stack) == before
    assert set(states(stack).values()) == {"running"}


def test_up_restarts_only_what_was_killed(stack: Stack) -> None:
    stack.up()
    before = pids(stack)
    assert stack.kill("kafka") == before["kafka"]
    assert states(stack)["kafka"] == "died"
    assert stack.up() == ["kafka"]
    after = pids(stack)
    assert after.pop("kafka") != before.pop("kafka")
    assert after == before


def test_another_object_with_the_same_settings_is_the_same_stack(stack: Stack) -> None:
    stack.up()
    twin = Stack(stack.settings)
    assert pids(twin) == pids(stack)
    assert set(twin.down()) == {"kafka", "cassandra", "jobmanager", "taskmanager-1"}
    assert pids(stack) == {}


def test_down_leaves_no_process_and_no_temporary_file_but_the_data(stack: Stack) -> None:
    stack.up()
    (stack.layout.tmp / "rest").write_text("x")
    (stack.layout.data / "table").write_text("x")
    running = pids(stack)
    stack.down()
    assert [pid for pid in running.values() if processes.read_stat(pid)] == []
    assert not stack.layout.tmp.exists()
    assert (stack.layout.data / "table").exists()
    assert set(states(stack).values()) == {"stopped"}
    assert stack.down() == []


def test_wiping_forgets_the_data_but_not_the_jars(stack: Stack) -> None:
    stack.up()
    stack.settings.cache_path.mkdir(parents=True)
    (stack.settings.cache_path / "kafka.jar").write_text("x")
    stack.down(wipe=True)
    assert not stack.layout.data.exists()
    assert [path.name for path in stack.layout.home.iterdir() if path.is_dir()] == ["cache"]
    stack.down(wipe_cache=True)
    assert not stack.settings.cache_path.exists()


def test_down_of_a_stack_that_never_was_makes_no_folder(tmp_path: Path) -> None:
    stack = Stack(StackSettings(home=str(tmp_path / "none")))
    assert stack.down(wipe=True, wipe_cache=True) == []
    assert not (tmp_path / "none").exists()


def test_taskmanagers_are_added_until_enough_live(stack: Stack) -> None:
    stack.up()
    assert stack.ensure_taskmanagers(1) == []
    assert stack.ensure_taskmanagers(3) == ["taskmanager-2", "taskmanager-3"]
    stack.kill("taskmanager-2")
    assert stack.ensure_taskmanagers(3) == ["taskmanager-2"]
    assert sum(name.startswith("taskmanager-") for name in pids(stack)) == 3


def test_an_added_taskmanager_that_died_comes_back_with_the_next_up(stack: Stack) -> None:
    stack.up()
    stack.ensure_taskmanagers(2)
    stack.kill("taskmanager-2")
    assert stack.up() == ["taskmanager-2"]


def test_taskmanagers_without_a_jobmanager_are_refused(stack: Stack) -> None:
    with pytest.raises(ServiceError, match="run `headwater up` first"):
        stack.ensure_taskmanagers(1)


def test_more_taskmanagers_than_ports_are_refused(stack: Stack) -> None:
    with pytest.raises(StackError, match="at most 15"):
        stack.up(taskmanagers=16)


def test_killing_what_does_not_run_names_what_does(stack: Stack) -> None:
    stack.up()
    with pytest.raises(ServiceError, match=r"taskmanager-7 does not run.*jobmanager"):
        stack.kill("taskmanager-7")


def test_a_service_with_older_settings_is_reported_and_left_running(stack: Stack) -> None:
    stack.up()
    record = processes.load(stack.layout.run)["jobmanager"]
    processes.save(msgspec.structs.replace(record, config="old"), stack.layout.run)
    said: list[tuple[str, str]] = []
    starter = stack._starter(lambda *_: None)._replace(
        report=lambda service, text, **_: said.append((service, text))
    )
    starter.flink(["jobmanager"], "config")
    assert said[0] == (
        "jobmanager",
        "runs with older settings: down, then up to apply the new",
    )
    assert pids(stack)["jobmanager"] == record.pid


def test_a_taken_port_stops_the_start_before_anything_runs(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(_: object) -> None:
        raise PortTakenError

    monkeypatch.setattr("deploy.stack.local.require_free", taken)
    with pytest.raises(PortTakenError):
        stack.up()
    assert pids(stack) == {}


def test_flinks_environment_is_refused_before_the_first_start(stack: Stack) -> None:
    with pytest.raises(ServiceError, match="no Flink configuration"):
        stack.flink_env()


def record_of(command: list[str], layout: Layout) -> Record:
    output = layout.logs("kafka") / "output.log"
    return processes.spawn("kafka", command, ENV, output, "home#kafka")


def test_a_service_that_ends_while_starting_is_reported_with_its_log(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    record = record_of(["/bin/sh", "-c", "echo out of luck; exit 3"], layout)
    with pytest.raises(ServiceError) as caught:
        readiness.wait_until(lambda: False, record, layout, timeout_s=30)
    assert "kafka ended while it was starting" in str(caught.value)
    assert "out of luck" in str(caught.value)


def test_a_service_that_does_not_become_ready_is_reported_with_the_setting(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    record = record_of(SLEEP, layout)
    try:
        with pytest.raises(ServiceError, match="not ready after 0 s: raise start_timeout_s"):
            readiness.wait_until(lambda: False, record, layout, timeout_s=0)
    finally:
        processes.stop(record, timeout_s=5)


def test_a_start_that_was_cancelled_stops_waiting(stack: Stack) -> None:
    cancelled = threading.Event()
    cancelled.set()
    starter = stack._starter(lambda *_: None)._replace(cancelled=cancelled)
    record = record_of(SLEEP, stack.layout)
    try:
        with pytest.raises(ServiceError, match="gave up waiting for kafka"):
            starter._wait(lambda: False, record)
    finally:
        processes.send(record.pid, signal.SIGKILL)
        processes.kill_session(record)


def test_plain_lines_are_printed_once_per_step_and_counts_are_thinned() -> None:
    out = StringIO()
    with reporter(Console(file=out)) as report:
        assert isinstance(report, PlainReport)
        report("kafka", "starting")
        report("kafka", "starting")
        for number in range(1, 41):
            report("packages", f"fetched {number} jars")
        report("kafka", "ready [on] 9092", done=True)
    assert out.getvalue().splitlines() == [
        "kafka           starting",
        "packages        fetched 20 jars",
        "packages        fetched 40 jars",
        "kafka           ready [on] 9092",
    ]


def test_without_prometheus_the_rest_runs_and_it_says_how_to_get_it(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = msgspec.structs.replace(stack.settings, prometheus=True)
    monkeypatch.setattr(monitoring, "program", lambda: None)
    said: list[str] = []
    starter = stack._starter(silent)._replace(
        settings=settings, report=lambda service, text, **_: said.append(f"{service}: {text}")
    )
    starter.prometheus()
    assert said == [f"prometheus: not here: {monitoring.ADVICE}"]
    twin = Stack(settings)
    assert "prometheus" not in twin.up()
    assert "prometheus" not in states(twin)


def test_prometheus_is_told_of_every_flink_process(stack: Stack) -> None:
    stack.up(taskmanagers=2)
    groups = json.loads((stack.layout.conf / "prometheus" / "flink.json").read_text())
    followed = {group["labels"]["process"]: group["targets"] for group in groups}
    names = ("jobmanager", "taskmanager-1", "taskmanager-2")
    assert followed == {name: [f"127.0.0.1:{stack.settings.metrics_port(name)}"] for name in names}
