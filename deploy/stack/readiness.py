"""Tells when a started service really serves, and why it does not."""

import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.stack.errors import ServiceError
from deploy.stack.layout import Layout
from deploy.stack.processes import Record, alive
from deploy.stack.services import CASSANDRA, JOBMANAGER, KAFKA, PROMETHEUS
from deploy.stack.settings import HOST, StackSettings

POLL_S = 0.2
TAIL_LINES = 12
JOBS_ASKED = 5
NO_PYTHON = "pemja.core.PythonInterpreter$MainInterpreter.initialize"


def listens(port: int) -> bool:
    """Whether somebody accepts connections on the loopback port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
        return True
    return False


def kafka_answers(bootstrap: str, client: Mapping[str, Any] | None = None) -> bool:
    """Whether the broker hands out metadata."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    host, _, port = bootstrap.rpartition(":")
    if not (host and listens(int(port))):
        return False
    with contextlib.suppress(KafkaException):
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, **(client or {})})
        return bool(admin.list_topics(timeout=5.0).brokers)
    return False


def get_json(url: str) -> Any:
    """A JSON answer of Flink's REST interface; ``None`` while there is none."""
    with (
        contextlib.suppress(OSError, ValueError),
        urllib.request.urlopen(url, timeout=2.0) as answer,
    ):
        return json.load(answer)
    return None


def registered_taskmanagers(rest_url: str) -> set[str]:
    """Resource ids of the TaskManagers that the JobManager knows.

    One that was killed stays among them until its heartbeat times out.
    """
    answer = get_json(f"{rest_url}/taskmanagers")
    return {entry["id"] for entry in answer["taskmanagers"]} if answer else set()


def without_python(rest_url: str) -> set[str]:
    """Resource ids of the TaskManagers that cannot run a Python stage any more.

    PemJa remembers for the life of the process that its first start of Python was interrupted, as
    happens when the job is cancelled in that very moment; each later task fails with that again.
    """
    jobs = get_json(f"{rest_url}/jobs/overview") or {"jobs": []}
    newest = sorted(jobs["jobs"], key=lambda job: -job["start-time"])[:JOBS_ASKED]
    told = [get_json(f"{rest_url}/jobs/{job['jid']}/exceptions?maxExceptions=20") for job in newest]
    return {
        failure["taskManagerId"]
        for one in told
        if one
        for failure in one["exceptionHistory"]["entries"]
        if NO_PYTHON in failure["stacktrace"] and failure.get("taskManagerId")
    }


def answers(record: Record, settings: StackSettings) -> bool:
    """Whether the service of a live process takes requests; cheap enough to ask often."""
    if record.service == KAFKA:
        return listens(settings.kafka_port)
    if record.service == CASSANDRA:
        return listens(settings.cassandra_port)
    if record.service == PROMETHEUS:
        return listens(settings.port("prometheus_port"))
    if record.service == JOBMANAGER:
        return get_json(f"{settings.flink_rest_url}/overview") is not None
    return record.resource_id in registered_taskmanagers(settings.flink_rest_url)


def wait_until(probe: Callable[[], bool], record: Record, layout: Layout, timeout_s: float) -> None:
    """Waits until the probe holds.

    Raises:
        ServiceError: The process ended, or the time is over; the message ends with its log.
    """
    deadline = time.monotonic() + timeout_s
    while not probe():
        if not alive(record):
            msg = f"{record.service} ended while it was starting. {log_tail(record, layout)}"
            raise ServiceError(msg)
        if time.monotonic() > deadline:
            msg = (
                f"{record.service} (process {record.pid}) is not ready after {timeout_s:.0f} s: "
                f"raise start_timeout_s if the machine is slow. {log_tail(record, layout)}"
            )
            raise ServiceError(msg)
        time.sleep(POLL_S)


def log_file(service: str, layout: Layout) -> Path | None:
    """The log file of a service that was written last; ``None`` before its first line."""
    files = [file for file in layout.logs(service).glob("*.log") if file.stat().st_size]
    return max(files, key=lambda file: file.stat().st_mtime_ns, default=None)


def log_tail(record: Record, layout: Layout) -> str:
    """The last lines of a service's log, with its path."""
    file = log_file(record.service, layout)
    if file is None:
        return f"It wrote no log in {layout.logs(record.service)}."
    lines = file.read_text("utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    return "\n  ".join([f"The end of {file}:", *lines])
