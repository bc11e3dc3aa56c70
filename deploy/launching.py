"""Puts a job on the cluster and watches it until it runs, or until it has ended."""

import importlib.util
import itertools
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from deploy.cluster import TERMINAL, Cluster, root_cause
from deploy.errors import HeadwaterError
from deploy.stack.reporting import Report
from jobs.kinds import KINDS

RUNNING_TIMEOUT_S = 300.0
POLL_S = 0.5
SLOTS_TIMEOUT_S = 20.0
FAILURES_MAX = 4
NEEDED_VARIABLES = (
    "JAVA_HOME", "FLINK_CONF_DIR", "FLINK_LIB_DIR", "FLINK_LOG_DIR", "PYTHONPATH",
)  # fmt: skip
"""What a shell lacks for the printed command to reach this stack."""


class LaunchError(HeadwaterError):
    """A job could not be started, or did not end well."""


class ClusterHost(Protocol):
    """What is used of `deploy.stack.Stack`."""

    @property
    def flink_home(self) -> Path:
        """Where `bin/flink` is."""

    def flink_env(self) -> dict[str, str]:
        """What it is called with."""

    def ensure_taskmanagers(self, count: int, report: Report) -> list[str]:
        """Starts what is missing of so many."""


def known_jobs() -> dict[str, Path]:
    """Job name → the file to submit: modules of the package `jobs` that have settings.

    Raises:
        LaunchError: The package is not installed.
    """
    spec = importlib.util.find_spec("jobs")
    if spec is None or not spec.submodule_search_locations:
        msg = "the package `jobs` is not installed beside `deploy`: run make install"
        raise LaunchError(msg)
    folder = Path(next(iter(spec.submodule_search_locations)))
    return {name: folder / f"{name}.py" for name in sorted(KINDS)}


def job_file(job: str) -> Path:
    """The file of a job.

    Raises:
        LaunchError: There is no such job; the message says which there are.
    """
    known = known_jobs()
    if job not in known:
        msg = f"there is no job {job!r}; jobs are {', '.join(known)}"
        raise LaunchError(msg)
    return known[job]


def flink_name(job: str) -> str:
    """Name of a job on the cluster."""
    return f"headwater-{job}"


def command(
    flink_home: Path,
    file: Path,
    arguments: Sequence[str],
    savepoint: str | None = None,
    options: Mapping[str, str] | None = None,
) -> list[str]:
    """The call of Flink's client; the file's path is relative where that is shorter to type.

    Args:
        flink_home: Where `bin/flink` is.
        file: The job.
        arguments: Of the job.
        savepoint: Where the job goes on.
        options: Of Flink, for this job alone.
    """
    here = Path.cwd()
    shown = file.relative_to(here) if file.is_relative_to(here) else file
    start = [word for key, value in (options or {}).items() for word in ("-D", f"{key}={value}")]
    start += ["-s", savepoint] if savepoint else []
    return [str(flink_home / "bin" / "flink"), "run", "-d", *start, "-py", str(shown), *arguments]


def typed(called: Sequence[str], env: Mapping[str, str], shell: Mapping[str, str]) -> str:
    """The call as a person types it, with the variables that the shell does not have yet."""
    missing = [name for name in NEEDED_VARIABLES if env.get(name) not in {None, shell.get(name)}]
    lines = [f"{name}={shlex.quote(env[name])}" for name in missing]
    flags = [place for place, word in enumerate(called) if word.startswith("--")]
    ends = [*flags, len(called)]
    lines.append(shlex.join(called[: ends[0]]))
    lines += [shlex.join(called[start:end]) for start, end in itertools.pairwise(ends)]
    return " \\\n  ".join(lines)


class Launcher:
    """Starts and watches jobs.

    Args:
        host: The stack.
        cluster: Its Flink.
        run: Runs a program.
        sleep: Waits for seconds.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        host: ClusterHost,
        cluster: Cluster,
        run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._cluster = host, cluster
        self._run, self._sleep, self._clock = run, sleep, clock
        self.said = ""

    def require_idle(self, job: str) -> None:
        """Refuses a second run of a job: both would write the same rows.

        Raises:
            LaunchError: One is active.
        """
        if active := self._cluster.active(flink_name(job)):
            msg = (
                f"{job} is {active.state.lower()} already, as {active.job_id}: "
                f"`headwater stop {job}` ends that run"
            )
            raise LaunchError(msg)

    def make_room(self, slots: int, report: Report) -> None:
        """Starts TaskManagers until so many slots are free; each has one.

        Where no job runs and slots are taken, those of a job that was lost are on their way back.
        """
        now, deadline = self._cluster.slots(), self._clock() + SLOTS_TIMEOUT_S
        while (
            now.available < slots <= now.total
            and all(one.state in TERMINAL for one in self._cluster.jobs())
            and self._clock() < deadline
        ):
            report("taskmanagers", "waiting for slots of a job that was lost")
            self._sleep(POLL_S)
            now = self._cluster.slots()
        self._host.ensure_taskmanagers(now.total - now.available + slots, report)

    def start(self, job: str, called: Sequence[str], report: Report) -> str:
        """Calls Flink's client and returns the id of the job.

        What the job's program says, its effective settings, is kept in `said`.

        Raises:
            LaunchError: The client failed; the message has the cause.
        """
        report(job, "submitting")
        told = self._run(
            called, env=self._host.flink_env(), capture_output=True, text=True, check=False
        )
        self.said = told.stdout
        found = re.search(r"JobID (\w{32})", told.stdout)
        if told.returncode or found is None:
            cause = _explained("\n  ".join(client_cause(told.stdout, told.stderr)))
            msg = f"{job} was not submitted (flink exit code {told.returncode}):\n  {cause}"
            raise LaunchError(msg)
        return found[1]

    def until_running(self, job: str, job_id: str, report: Report) -> None:
        """Waits until every task runs.

        A task may fail on the way, of a heartbeat that came late on a busy machine for one: Flink
        starts it again. After `FAILURES_MAX` failures there is no hope, and the job is cancelled.

        Raises:
            LaunchError: It failed too often, with the newest cause, or the time is over.
        """
        deadline = self._clock() + RUNNING_TIMEOUT_S
        while True:
            now = self._cluster.job(job_id)
            if now.vertices and now.ready() == len(now.vertices):
                report(job, f"running, {len(now.vertices)} tasks", done=True)
                return
            state = f"{now.ready()} of {len(now.vertices)} tasks run"
            failed = self._failed(job, job_id, now.state)
            if self._clock() > deadline:
                msg = (
                    f"{job} does not run after {RUNNING_TIMEOUT_S:.0f} s ({state}) and goes on "
                    f"trying: see {self._cluster.url}/#/job/running/{job_id}"
                )
                raise LaunchError(msg)
            report(job, (state if now.vertices else now.state.lower()) + failed)
            self._sleep(POLL_S)

    def _failed(self, job: str, job_id: str, state: str) -> str:
        """What failed so far, in words; empty if nothing did.

        Raises:
            LaunchError: It was too often, or the job has ended.
        """
        traces = self._cluster.failures(job_id)
        causes = root_cause(traces[0]) if traces else []
        if state not in TERMINAL and len(traces) < FAILURES_MAX:
            return f", after failure {len(traces)}: {causes[-1][:100]}" if causes else ""
        cause = "\n  ".join(causes) or "Flink tells no cause: see the JobManager's log"
        if state in TERMINAL:
            ended = f"is {state.lower()}"
        else:
            self._cluster.cancel(job_id)
            ended = f"failed {len(traces)} times and was cancelled"
        msg = f"{job} did not start, it {ended}:\n  {_explained(cause)}"
        raise LaunchError(msg)

    def until_finished(self, job: str, job_id: str, report: Report) -> None:
        """Waits for the end of a bounded job.

        Raises:
            LaunchError: It failed or was cancelled.
        """
        while (now := self._cluster.job(job_id)).state not in TERMINAL:
            report(job, f"{now.state.lower()}, {now.read_from_sources():,} records read")
            self._sleep(POLL_S)
        if now.state != "FINISHED":
            cause = "\n  ".join([now.state, *root_cause(self._cluster.failure(job_id))])
            msg = f"{job} did not finish: {cause}"
            raise LaunchError(msg)
        report(job, "finished", done=True)


FOREIGN = "Cannot map checkpoint/savepoint state"


def _explained(cause: str) -> str:
    """A cause with the option that leads to it, where it is known."""
    if FOREIGN not in cause:
        return cause
    return f"{cause}\n  --from-savepoint names the state of another job, or of another form of this"


def client_cause(output: str, errors: str) -> list[str]:
    """Why Flink's client failed: what the job's program said, else what the client did.

    The program's output, its own errors included, comes as the client's; of a program that failed
    the client knows no more than the exit code.
    """
    for text in (output, errors):
        if causes := text.partition("Caused by: ")[2]:
            return root_cause(causes)
    return root_cause(errors or output) or ["it said nothing"]


def shell() -> Mapping[str, str]:
    """The variables of the person's shell."""
    return os.environ
