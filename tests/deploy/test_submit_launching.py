"""Starting and watching a job, on a cluster that plays its part."""

import shlex
import subprocess
from pathlib import Path

import pytest

from deploy import launching
from deploy.cluster import Job, JobSummary, Slots, Vertex
from deploy.launching import Launcher, LaunchError

ID = "0123456789abcdef" * 2


class PlayedCluster:
    url = "http://flink"

    def __init__(self, jobs=(), slots=(1, 1), states=(), failures=((),)):
        self.list = list(jobs)
        self._slots = [Slots(*one) for one in (slots if isinstance(slots[0], tuple) else [slots])]
        self.states, self.looks = list(states), list(failures)
        self.cancelled = []

    def active(self, name):
        return next((one for one in self.list if one.name == name), None)

    def slots(self):
        return self._slots.pop(0) if len(self._slots) > 1 else self._slots[0]

    def jobs(self):
        return self.list

    def job(self, job_id):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def failures(self, job_id):
        """The newest first, more of them at each look."""
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def failure(self, job_id):
        return next(iter(self.failures(job_id)), "")

    def cancel(self, job_id):
        self.cancelled.append(job_id)


class PlayedHost:
    flink_home = Path("/flink")

    def __init__(self):
        self.asked = []

    def flink_env(self):
        return {"FLINK_CONF_DIR": "/conf"}

    def ensure_taskmanagers(self, count, report):
        self.asked.append(count)


class Told(list):
    def __call__(self, service, text, *, done=False):
        self.append((text, done))


def tasks(state: str, *statuses: str) -> Job:
    return Job(state=state, vertices=[Vertex(name="t", status=status) for status in statuses])


def launcher(cluster, host=None, run=None, clock=lambda: 0.0):
    return Launcher(host or PlayedHost(), cluster, run, sleep=lambda _: None, clock=clock)


def client(output="", errors="", code=0):
    def run(called, **options):
        run.called, run.options = called, options
        return subprocess.CompletedProcess(called, code, output, errors)

    return run


def test_the_jobs_are_the_modules_that_can_be_submitted():
    known = launching.known_jobs()
    assert known["recommend"].name == "recommend.py"
    assert not {"settings", "wiring", "local", "__init__"} & set(known)
    for file in known.values():
        assert "def main(argv" in file.read_text()


def test_an_unknown_job_is_answered_with_those_there_are():
    with pytest.raises(LaunchError, match=r"no job 'recomend'; jobs are .*recommend"):
        launching.job_file("recomend")


def test_the_command_is_flinks_own_and_short_to_type(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "jobs" / "recommend.py"
    called = launching.command(Path("/f"), file, ["--set", "a=b"])
    assert called == ["/f/bin/flink", "run", "-d", "-py", "jobs/recommend.py", "--set", "a=b"]
    elsewhere = launching.command(Path("/f"), Path("/pkg/jobs/recommend.py"), [], "/sp/1")
    assert elsewhere[3:] == ["-s", "/sp/1", "-py", "/pkg/jobs/recommend.py"]


def test_what_is_printed_is_what_a_shell_would_run():
    called = ["/f/bin/flink", "run", "-py", "j.py", "--set", "k=a b", "--config", "h.toml"]
    env = {"JAVA_HOME": "/java", "FLINK_CONF_DIR": "/my conf", "OTHER": "x"}
    text = launching.typed(called, env, {"JAVA_HOME": "/java"})
    assert shlex.split(text.replace("\\\n", " ")) == ["FLINK_CONF_DIR=/my conf", *called]
    assert text.splitlines()[-1].strip() == "--config h.toml"


def test_a_command_without_options_is_printed_too():
    assert launching.typed(["flink", "run"], {}, {}) == "flink run"


def test_a_second_run_of_a_job_is_refused():
    active = JobSummary("id7", "headwater-recommend", "RESTARTING", 1)
    with pytest.raises(LaunchError, match=r"restarting already, as id7: `headwater stop"):
        launcher(PlayedCluster([active])).require_idle("recommend")
    launcher(PlayedCluster([active])).require_idle("learn")


@pytest.mark.parametrize(
    ("slots", "wanted", "taskmanagers"),
    [((1, 1), 1, 1), ((1, 0), 1, 2), ((3, 1), 2, 4), ((0, 0), 2, 2)],
)
def test_there_are_as_many_taskmanagers_as_slots_taken_and_wanted(slots, wanted, taskmanagers):
    host, active = PlayedHost(), JobSummary("id", "headwater-learn", "RUNNING", 1)
    launcher(PlayedCluster([active], slots), host).make_room(wanted, Told())
    assert host.asked == [taskmanagers]


def test_slots_of_a_job_that_was_lost_are_waited_for_a_while():
    lost = JobSummary("id", "headwater-recommend", "FAILED", 1)
    host, told = PlayedHost(), Told()
    cluster = PlayedCluster([lost], [(2, 0), (2, 0), (2, 2)])
    launcher(cluster, host).make_room(2, told)
    assert host.asked == [2]
    assert len(told) == 2
    times = iter([0.0, 1.0, 99.0])
    launcher(PlayedCluster([lost], (2, 0)), host, clock=lambda: next(times)).make_room(2, told)
    assert host.asked == [2, 4]


def test_the_id_is_read_from_the_clients_words():
    run = client(f"settings\nJob has been submitted with JobID {ID}\n")
    assert launcher(PlayedCluster(), run=run).start("recommend", ["flink"], Told()) == ID
    assert run.options["env"] == {"FLINK_CONF_DIR": "/conf"}


def test_what_the_jobs_program_said_is_the_cause():
    output = 'Traceback:\n  File "j.py"\n: java.A: x\n\tat q\nCaused by: java.B: bad table\n\tat r'
    errors = "ProgramAbort: y\nCaused by: java.lang.RuntimeException: Python process exits"
    run = client(output, errors, 31)
    with pytest.raises(LaunchError) as caught:
        launcher(PlayedCluster(), run=run).start("recommend", ["flink"], Told())
    assert str(caught.value).splitlines() == [
        "recommend was not submitted (flink exit code 31):",
        "  java.B: bad table",
    ]


def test_a_client_that_says_nothing_is_told_so():
    with pytest.raises(LaunchError, match="it said nothing"):
        launcher(PlayedCluster(), run=client(code=1)).start("recommend", ["flink"], Told())


def test_a_job_runs_when_all_its_tasks_do():
    states = [
        Job(state="INITIALIZING"),
        tasks("RUNNING", "SCHEDULED", "RUNNING"),
        tasks("RUNNING", "RUNNING", "FINISHED"),
    ]
    told = Told()
    launcher(PlayedCluster(states=states)).until_running("recommend", ID, told)
    assert told == [
        ("initializing", False),
        ("1 of 2 tasks run", False),
        ("running, 2 tasks", True),
    ]


WHY = "java.A: x\nCaused by: java.B: why\n"


def test_a_job_that_fails_again_and_again_is_cancelled_and_its_newest_cause_told():
    looks = [["java.C: first"] * n for n in range(launching.FAILURES_MAX)]
    cluster = PlayedCluster(
        states=[tasks("RESTARTING", "FAILED")], failures=[*looks, [WHY, *looks[-1]]]
    )
    with pytest.raises(LaunchError, match=r"(?s)it failed 4 times and was cancelled.*java\.B: why"):
        launcher(cluster).until_running("recommend", ID, Told())
    assert cluster.cancelled == [ID]


def test_a_job_that_flink_starts_again_is_waited_for():
    states = [tasks("RESTARTING", "FAILED"), tasks("RUNNING", "RUNNING")]
    cluster, told = PlayedCluster(states=states, failures=[[WHY]]), Told()
    launcher(cluster).until_running("recommend", ID, told)
    assert told == [
        ("0 of 1 tasks run, after failure 1: java.B: why", False),
        ("running, 1 tasks", True),
    ]
    assert cluster.cancelled == []


def test_a_job_that_failed_needs_no_cancelling():
    cluster = PlayedCluster(states=[tasks("FAILED", "FAILED")])
    with pytest.raises(LaunchError, match=r"(?s)it is failed.*tells no cause"):
        launcher(cluster).until_running("recommend", ID, Told())
    assert cluster.cancelled == []


def test_a_job_that_never_runs_is_given_up_but_left():
    cluster, times = PlayedCluster(states=[tasks("RUNNING", "SCHEDULED")]), iter([0.0, 1.0, 400.0])
    with pytest.raises(LaunchError, match=r"0 of 1 tasks run.*goes on trying"):
        launcher(cluster, clock=lambda: next(times)).until_running("recommend", ID, Told())
    assert cluster.cancelled == []


def test_a_replay_is_waited_for_until_it_has_ended():
    told = Told()
    cluster = PlayedCluster(states=[tasks("RUNNING", "RUNNING"), tasks("FINISHED", "FINISHED")])
    launcher(cluster).until_finished("recommend", ID, told)
    assert told[-1] == ("finished", True)


def test_a_replay_that_ends_badly_is_an_error():
    cluster = PlayedCluster(states=[tasks("CANCELED", "CANCELED")])
    with pytest.raises(LaunchError, match="did not finish: CANCELED"):
        launcher(cluster).until_finished("recommend", ID, Told())


def test_a_savepoint_of_another_job_is_named_as_the_cause():
    from deploy.launching import FOREIGN, _explained

    told = _explained(f"IllegalStateException: {FOREIGN} for operator abc to the new program")
    assert told.endswith(
        "--from-savepoint names the state of another job, or of another form of this"
    )
    assert _explained("another cause") == "another cause"
