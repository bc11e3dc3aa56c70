"""Flink's REST interface, as far as the command line needs it: what runs, how it is, and an end."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from deploy.errors import HeadwaterError

TERMINAL = frozenset({"FINISHED", "CANCELED", "FAILED"})
"""States that a job does not leave any more."""

POLL_S = 0.25
REQUEST_TIMEOUT_S = 20.0
CAUSE_LINES_MAX = 8
CAUSES_MAX = 3

_T = TypeVar("_T")


class ClusterError(HeadwaterError):
    """Flink does not answer, or refuses what it is asked for."""


class JobSummary(Struct, frozen=True, rename={"job_id": "jid", "started_ms": "start-time"}):
    """One line of Flink's list of jobs."""

    job_id: str
    name: str
    state: str
    started_ms: int


class Counters(Struct, frozen=True, rename="kebab"):
    """Records of one vertex so far; Flink renews them every ten seconds."""

    read_records: int = 0
    write_records: int = 0


class Vertex(Struct, frozen=True):
    """A task of the job's graph: chained operators."""

    name: str
    status: str
    metrics: Counters = Counters()


class Job(Struct, frozen=True):
    """A job with its tasks; none before the graph is made."""

    state: str
    vertices: list[Vertex] = []

    def ready(self) -> int:
        """Tasks that run, or have ended as they should."""
        return sum(vertex.status in {"RUNNING", "FINISHED"} for vertex in self.vertices)

    def read_from_sources(self) -> int:
        """Records that came in so far."""
        sources = (one for one in self.vertices if one.name.startswith("Source:"))
        return sum(one.metrics.write_records for one in sources)


class Slots(Struct, frozen=True, rename={"total": "slots-total", "available": "slots-available"}):
    """Slots of all TaskManagers, and those that no job holds."""

    total: int
    available: int


class CheckpointCounts(Struct, frozen=True):
    """Checkpoints of a run so far."""

    completed: int = 0
    failed: int = 0


class _Checkpoints(Struct, frozen=True):
    counts: CheckpointCounts = CheckpointCounts()


class _Metric(Struct, frozen=True):
    value: str = "0"


class _Jobs(Struct, frozen=True):
    jobs: list[JobSummary]


class _Failure(Struct, frozen=True):
    stacktrace: str = ""


class _History(Struct, frozen=True):
    entries: list[_Failure] = []


class _Exceptions(Struct, frozen=True, rename={"history": "exceptionHistory"}):
    history: _History = _History()


class _Trigger(Struct, frozen=True, rename="kebab"):
    request_id: str


class _Cause(Struct, frozen=True, rename="kebab"):
    stack_trace: str = ""


class _Operation(Struct, frozen=True, rename="kebab"):
    location: str | None = None
    failure_cause: _Cause | None = None


class _Status(Struct, frozen=True):
    id: str


class _Progress(Struct, frozen=True):
    status: _Status
    operation: _Operation | None = None


class _Errors(Struct, frozen=True):
    errors: list[str] = []


class Cluster:
    """A Flink session cluster.

    Args:
        url: Of the REST interface.
        sleep: Waits for seconds between two looks.
    """

    def __init__(self, url: str, sleep: Callable[[float], object] = time.sleep) -> None:
        self.url = url.rstrip("/")
        self._sleep = sleep

    def slots(self) -> Slots:
        """How many slots there are and how many are free."""
        return self._get("/overview", Slots)

    def jobs(self) -> list[JobSummary]:
        """All jobs the JobManager knows, the newest first."""
        found = self._get("/jobs/overview", _Jobs).jobs
        return sorted(found, key=lambda job: -job.started_ms)

    def active(self, name: str) -> JobSummary | None:
        """The job of this name that has not ended."""
        running = (one for one in self.jobs() if one.state not in TERMINAL)
        return next((one for one in running if one.name == name), None)

    def job(self, job_id: str) -> Job:
        """A job and its tasks."""
        return self._get(f"/jobs/{job_id}", Job)

    def failure(self, job_id: str) -> str:
        """Stack trace of the newest failure, empty if there was none."""
        found = self.failures(job_id, 1)
        return found[0] if found else ""

    def failures(self, job_id: str, most: int = 10) -> list[str]:
        """Stack traces of so many failures, the newest first: each ended the tasks once."""
        found = self._get(f"/jobs/{job_id}/exceptions?maxExceptions={most}", _Exceptions)
        return [one.stacktrace for one in found.history.entries]

    def checkpoint_counts(self, job_id: str) -> CheckpointCounts:
        """How many checkpoints of a run were completed, and how many failed."""
        return self._get(f"/jobs/{job_id}/checkpoints", _Checkpoints).counts

    def restarts(self, job_id: str) -> int:
        """How often a run had to go back to its last checkpoint."""
        found = self._get(f"/jobs/{job_id}/metrics?get=numRestarts", list[_Metric])
        return int(found[0].value) if found else 0

    def cancel(self, job_id: str) -> None:
        """End a job at once, and wait until it has ended."""
        self._request(f"/jobs/{job_id}?mode=cancel", method="PATCH")
        self._until_ended(job_id)

    def stop(self, job_id: str, folder: str) -> str:
        """End a job with a savepoint in a folder.

        Returns:
            Where the savepoint is.

        Raises:
            ClusterError: Flink could not take it; the job goes on.
        """
        body = {"targetDirectory": folder, "drain": False}
        done = self._triggered(f"/jobs/{job_id}/stop", body, f"/jobs/{job_id}/savepoints")
        self._until_ended(job_id)
        return done.location or ""

    def checkpoint(self, job_id: str) -> None:
        """Take a checkpoint and wait for it: all that was read before has gone through.

        Raises:
            ClusterError: Flink could not take it.
        """
        path = f"/jobs/{job_id}/checkpoints"
        self._triggered(path, {"checkpointType": "CONFIGURED"}, path)

    def _triggered(self, path: str, body: Any, progress: str) -> _Operation:
        raw = self._request(path, "POST", msgspec.json.encode(body))
        request = msgspec.json.decode(raw, type=_Trigger).request_id
        while True:
            now = self._get(f"{progress}/{request}", _Progress)
            if now.status.id == "COMPLETED":
                break
            self._sleep(POLL_S)
        done = now.operation or _Operation()
        if done.failure_cause is not None:
            cause = "\n  ".join(root_cause(done.failure_cause.stack_trace))
            msg = f"Flink could not do `{path}`:\n  {cause}"
            raise ClusterError(msg)
        return done

    def _until_ended(self, job_id: str) -> None:
        while self.job(job_id).state not in TERMINAL:
            self._sleep(POLL_S)

    def _get(self, path: str, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(self._request(path), type=kind)
        except msgspec.DecodeError as error:
            msg = f"{self.url}{path} does not answer as Flink does ({error}): is the port right?"
            raise ClusterError(msg) from error

    def _request(self, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=body,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
                text: bytes = answer.read()
                return text
        except urllib.error.HTTPError as error:
            msg = f"Flink refuses {method} {path}: {_refusal(error)}"
            raise ClusterError(msg) from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            msg = f"no Flink answers at {self.url} ({reason}): start one with `headwater up`"
            raise ClusterError(msg) from error


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        errors = msgspec.json.decode(error.read(), type=_Errors).errors
    except msgspec.DecodeError:
        errors = []
    told = [line for text in errors for line in root_cause(text)]
    return " ".join(told) or f"status {error.code}"


def root_cause(stack_trace: str) -> list[str]:
    r"""The lines of a Java stack trace that say why: its last causes, without their frames.

    A cause that only repeats the next one is left out. Of a Python traceback in the last one, the
    place that raised and the error stay.

    >>> root_cause("java.A: B: why\n\tat x.y(Z.java:1)\nCaused by: B: why\n\t... 3 more\n")
    ['B: why']
    """
    causes = [_without_frames(text) for text in stack_trace.strip().split("Caused by: ")]
    causes = [lines for lines in causes if lines]
    if not causes:
        return []
    heads = [lines[0] for lines in causes]
    told = [head for head, following in pairwise(heads) if not head.endswith(following)]
    last = _raising_place(causes[-1])
    if len(last) > CAUSE_LINES_MAX:
        last = [last[0], "...", *last[2 - CAUSE_LINES_MAX :]]
    return [*told[1 - CAUSES_MAX :], *last]


def _without_frames(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return [line for line in lines if not line.lstrip().startswith(("at ", "... "))]


def _raising_place(lines: list[str]) -> list[str]:
    """A cause whose Python traceback is cut to its last frame."""
    frames = [place for place, line in enumerate(lines) if line.lstrip().startswith('File "')]
    return [*lines[: frames[0]], *lines[frames[-1] :]] if frames else lines
