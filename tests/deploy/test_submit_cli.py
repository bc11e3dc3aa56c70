"""`headwater submit` and `headwater stop` from their arguments to what they print."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy import submit
from deploy.cli import app
from deploy.cluster import Job, JobSummary, Slots, Vertex
from deploy.errors import HeadwaterError
from deploy.savepoints import Savepoints
from deploy.stack import Stack
from deploy.stack.layout import Layout

ID = "f" * 32


class PlayedCluster:
    """One job at most: none, then `RUNNING`, or as the test sets it."""

    url = "http://flink"

    def __init__(self, home: Path):
        self.home, self.active_job, self.state, self.status = home, None, "RUNNING", "RUNNING"
        self.ended_with = ""

    def active(self, name):
        return self.active_job

    def slots(self):
        return Slots(1, 1)

    def jobs(self):
        return [self.active_job] if self.active_job else []

    def job(self, job_id):
        return Job(state=self.state, vertices=[Vertex(name="t", status=self.status)])

    def failures(self, job_id):
        return []

    def cancel(self, job_id):
        self.ended_with = "cancel"

    def stop(self, job_id, folder):
        self.ended_with = folder
        place = self.home / "data" / "flink" / "savepoints" / "sp-1"
        place.mkdir(parents=True)
        (place / "_metadata").touch()
        return place.as_uri()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PlayedCluster:
    made = PlayedCluster(tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADWATER_CONFIG", raising=False)
    monkeypatch.setenv("HEADWATER_STACK_HOME", str(made.home))
    monkeypatch.setenv("HEADWATER_STACK_KAFKA_PORT", "19092")
    monkeypatch.setattr(submit, "Cluster", lambda url: made)
    made.forgotten = []
    monkeypatch.setattr(submit, "forget_offsets", lambda kafka: made.forgotten.append(kafka.group))
    monkeypatch.setattr(submit.preflight, "check", lambda planned: None)
    monkeypatch.setattr(Stack, "flink_env", lambda _: {"FLINK_CONF_DIR": "/conf"})
    monkeypatch.setattr(Stack, "ensure_taskmanagers", lambda *_: [])
    return made


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    made: list[list[str]] = []

    def run(called, **_):
        made.append(called)
        said = f"effective settings: all\nJob has been submitted with JobID {ID}"
        return subprocess.CompletedProcess(called, 0, said, "")

    monkeypatch.setattr(submit, "_launcher", lambda s: submit.Launcher(s, submit.Cluster(""), run))
    return made


def invoke(*arguments: str):
    return CliRunner().invoke(app, [*arguments])


def running() -> JobSummary:
    return JobSummary(ID, "headwater-recommend", "RUNNING", 1)


def test_submit_calls_flinks_client_with_the_stacks_addresses(cluster, calls):
    result = invoke("submit", "recommend", "--clock", "live", "--parallelism", "2", "--set", "a=b")
    assert isinstance(result.exception, HeadwaterError), "an unknown setting never reaches Flink"
    assert calls == []
    result = invoke(
        "submit", "recommend", "--clock", "live", "--parallelism", "2", "--set", "window_ms=50"
    )
    assert result.exit_code == 0, result.output
    (called,) = calls
    assert called[1:4] == ["run", "-d", "-py"]
    assert called[4].endswith("recommend.py")
    sets = called[6::2]
    assert sets[0] == "kafka.bootstrap=127.0.0.1:19092"
    assert sets[-3:] == ["clock=live", "parallelism=2", "window_ms=50"]
    assert "FLINK_CONF_DIR=/conf" in result.output
    assert cluster.forgotten == ["headwater-recommend"], "it begins with the first records"
    assert f"/#/job/running/{ID}" in result.output


def test_what_the_jobs_program_says_is_printed_if_asked_for(cluster, calls):
    assert "effective settings" not in invoke("submit", "recommend").output
    assert "effective settings: all" in invoke("submit", "recommend", "--verbose").output


def test_submit_from_the_latest_savepoint_goes_on_where_stop_left_off(cluster, calls):
    cluster.active_job, cluster.state = running(), "RUNNING"
    result = invoke("stop", "recommend")
    assert result.exit_code == 0, result.output
    (taken,) = Savepoints(Layout(cluster.home)).all()
    assert taken.path in result.output.replace("\n", "")
    assert cluster.ended_with == (cluster.home / "data" / "flink" / "savepoints").as_uri()
    cluster.active_job = None
    result = invoke("submit", "recommend", "--from-savepoint", "latest")
    assert result.exit_code == 0, result.output
    assert calls[0][3:5] == ["-s", taken.path]
    assert cluster.forgotten == []
    assert "warning" not in result.output


def test_settings_that_are_part_of_the_state_are_warned_of_before_it_begins_empty(cluster, calls):
    assert invoke("submit", "recommend", "--set", "strengths.click=3").exit_code == 0
    cluster.active_job = running()
    assert invoke("stop", "recommend").exit_code == 0
    cluster.active_job = None
    again = ("submit", "recommend", "--from-savepoint", "latest", "--set")
    assert "warning" not in invoke(*again, "strengths.click=3", "--set", "popular_ms=5").output
    result = invoke(*again, "strengths.click=4")
    assert result.exit_code == 0, result.output
    assert "warning: strengths.click was 3 and is 4" in result.output
    assert "begins empty" in result.output


def test_a_replay_begins_anew_instead_of_going_on(cluster, calls):
    result = invoke("submit", "recommend", "--clock", "replay", "--from-savepoint", "latest")
    assert result.exit_code != 0
    assert "Begin it anew, without --from-savepoint" in str(result.exception)
    assert calls == []


def test_a_job_that_runs_already_is_not_started_again(cluster, calls):
    cluster.active_job = running()
    result = invoke("submit", "recommend")
    assert "running already" in str(result.exception)
    assert calls == []


def test_to_wait_for_a_live_job_makes_no_sense(cluster, calls):
    assert "--clock replay" in str(invoke("submit", "recommend", "--wait").exception)
    assert calls == []


def test_a_replay_can_be_waited_for(cluster, calls):
    cluster.state, cluster.status = "FINISHED", "FINISHED"
    result = invoke("submit", "recommend", "--wait", "--clock", "replay")
    assert result.exit_code == 0, result.output
    assert "finished" in result.output


def test_stop_of_what_does_not_run_says_so(cluster):
    assert "recommend does not run" in str(invoke("stop", "recommend").exception)
    assert "no job 'nothing'" in str(invoke("stop", "nothing").exception)


def test_a_savepoint_needs_all_tasks(cluster):
    cluster.active_job, cluster.state, cluster.status = running(), "RESTARTING", "FAILED"
    assert "0 of 1 tasks run" in str(invoke("stop", "recommend").exception)
    assert cluster.ended_with == ""


def test_a_job_can_be_ended_without_one(cluster):
    cluster.active_job, cluster.state = running(), "RESTARTING"
    result = invoke("stop", "recommend", "--no-savepoint")
    assert result.exit_code == 0, result.output
    assert cluster.ended_with == "cancel"
    assert Savepoints(Layout(cluster.home)).all() == []
