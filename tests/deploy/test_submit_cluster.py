"""Flink's REST interface against a server that answers as Flink does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.cluster import CAUSE_LINES_MAX, Cluster, ClusterError, root_cause

JOB = "a" * 32


class FlinkLike:
    """Answers by method and path: a list is used up one by one, its last stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, object]]] = {}
        self.requests: list[tuple[str, object]] = []

    def put(self, request: str, *bodies: object, status: int = 200) -> None:
        self.answers[request] = [(status, body) for body in bodies]

    def take(self, request: str) -> tuple[int, object]:
        found = self.answers.get(request, [(404, {"errors": ["not here"]})])
        return found.pop(0) if len(found) > 1 else found[0]


@pytest.fixture
def flink() -> Iterator[FlinkLike]:
    made = FlinkLike()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            made.requests.append((f"{self.command} {self.path}", body))
            status, answer = made.take(f"{self.command} {self.path}")
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cluster(flink: FlinkLike) -> Cluster:
    return Cluster(flink.url, sleep=lambda _: None)


def line(job_id: str, state: str, started: int, name: str = "headwater-recommend") -> dict:
    return {"jid": job_id, "name": name, "state": state, "start-time": started, "more": 1}


def test_the_active_job_of_a_name_is_the_one_that_has_not_ended(flink, cluster):
    flink.put(
        "GET /jobs/overview",
        {
            "jobs": [
                line("old", "FINISHED", 1),
                line("other", "RUNNING", 9, "headwater-learn"),
                line("mine", "RESTARTING", 2),
                line("failed", "FAILED", 3),
            ]
        },
    )
    assert cluster.active("headwater-recommend").job_id == "mine"
    assert cluster.active("headwater-understand") is None
    assert [job.job_id for job in cluster.jobs()] == ["other", "failed", "mine", "old"]


def test_tasks_that_run_or_have_ended_well_count_as_ready(flink, cluster):
    states = ["RUNNING", "FINISHED", "INITIALIZING", "FAILED"]
    vertices = [{"name": f"t{n}", "status": state} for n, state in enumerate(states)]
    vertices[0] |= {"name": "Source: events", "metrics": {"write-records": 7, "read-records": 9}}
    flink.put(f"GET /jobs/{JOB}", {"state": "RUNNING", "vertices": vertices})
    job = cluster.job(JOB)
    assert (job.ready(), len(job.vertices), job.read_from_sources()) == (2, 4, 7)


def test_slots_are_read(flink, cluster):
    flink.put("GET /overview", {"slots-total": 3, "slots-available": 1, "flink-version": "2.3.0"})
    assert (cluster.slots().total, cluster.slots().available) == (3, 1)


def test_a_stop_waits_for_the_savepoint_and_for_the_end(flink, cluster):
    flink.put(f"POST /jobs/{JOB}/stop", {"request-id": "r"})
    flink.put(
        f"GET /jobs/{JOB}/savepoints/r",
        {"status": {"id": "IN_PROGRESS"}, "operation": None},
        {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/sp/1"}},
    )
    flink.put(f"GET /jobs/{JOB}", {"state": "RUNNING"}, {"state": "FINISHED"})
    assert cluster.stop(JOB, "file:///sp") == "file:/sp/1"
    assert flink.requests[0][1] == {"targetDirectory": "file:///sp", "drain": False}
    assert [request for request, _ in flink.requests].count(f"GET /jobs/{JOB}") == 2


def test_a_savepoint_that_fails_is_told_with_its_cause(flink, cluster):
    trace = "java.A: outer\n\tat x\nCaused by: java.B: the disk is full\n\tat y\n"
    flink.put(f"POST /jobs/{JOB}/stop", {"request-id": "r"})
    failed = {"failure-cause": {"class": "java.A", "stack-trace": trace}}
    flink.put(f"GET /jobs/{JOB}/savepoints/r", {"status": {"id": "COMPLETED"}, "operation": failed})
    with pytest.raises(ClusterError, match=r"(?s)could not do.*the disk is full"):
        cluster.stop(JOB, "file:///sp")


def test_a_checkpoint_is_waited_for(flink, cluster):
    flink.put(f"POST /jobs/{JOB}/checkpoints", {"request-id": "c"})
    done = {"status": {"id": "COMPLETED"}, "operation": {"checkpointId": 5}}
    flink.put(f"GET /jobs/{JOB}/checkpoints/c", {"status": {"id": "IN_PROGRESS"}}, done)
    cluster.checkpoint(JOB)
    assert flink.answers[f"GET /jobs/{JOB}/checkpoints/c"] == [(200, done)]


def test_a_cancelled_job_has_ended_when_the_call_returns(flink, cluster):
    flink.put(f"PATCH /jobs/{JOB}?mode=cancel", {}, status=202)
    flink.put(f"GET /jobs/{JOB}", {"state": "CANCELLING"}, {"state": "CANCELED"})
    cluster.cancel(JOB)
    assert flink.answers[f"GET /jobs/{JOB}"] == [(200, {"state": "CANCELED"})]


def test_the_newest_failure_is_read_and_none_is_empty(flink, cluster):
    path = f"GET /jobs/{JOB}/exceptions?maxExceptions=1"
    flink.put(path, {"exceptionHistory": {"entries": []}})
    assert cluster.failure(JOB) == ""
    flink.put(path, {"exceptionHistory": {"entries": [{"stacktrace": "java.A: no"}]}})
    assert cluster.failure(JOB) == "java.A: no"


def test_a_refusal_is_told_without_its_frames(flink, cluster):
    errors = [
        "java.NotFound: Job not found\n\tat a.b(C.java:1)\nCaused by: java.X: no such\n\tat d"
    ]
    flink.put(f"GET /jobs/{JOB}", {"errors": errors}, status=404)
    with pytest.raises(ClusterError) as caught:
        cluster.job(JOB)
    assert "no such" in str(caught.value)
    assert "at a.b" not in str(caught.value)


def test_a_refusal_without_json_names_the_status(flink, cluster):
    flink.put("GET /overview", b"<html>", status=503)
    with pytest.raises(ClusterError, match="status 503"):
        cluster.slots()


def test_what_is_no_flink_is_told_so(flink, cluster):
    flink.put("GET /overview", b"<html>hello</html>")
    with pytest.raises(ClusterError, match="does not answer as Flink does"):
        cluster.slots()


def test_no_answer_at_all_says_what_to_do(flink):
    nobody = Cluster("http://127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"no Flink answers.*headwater up"):
        nobody.jobs()


def test_a_cause_keeps_the_place_of_a_python_traceback_that_raised():
    frames = "".join(f'  File "f{n}.py", line {n}, in g\n    call{n}()\n' for n in range(20))
    trace = (
        "java.Outer: Python failed\n\tat x\nCaused by: java.Mid: bundle\n\tat y\n"
        f"Caused by: java.Inner: Traceback (most recent call last):\n{frames}"
        "ValueError: that is it\n\n\tat z\n\t... 3 more\n"
    )
    assert root_cause(trace) == [
        "java.Outer: Python failed",
        "java.Mid: bundle",
        "java.Inner: Traceback (most recent call last):",
        '  File "f19.py", line 19, in g',
        "    call19()",
        "ValueError: that is it",
    ]


def test_a_cause_is_never_a_page():
    trace = "java.A: first\n" + "\n".join(f"line {n}" for n in range(50))
    told = root_cause(trace)
    assert len(told) == CAUSE_LINES_MAX
    assert (told[0], told[-1]) == ("java.A: first", "line 49")


def test_of_a_long_chain_the_last_causes_are_told():
    trace = "\nCaused by: ".join(f"java.E{n}: step {n}\n\tat x" for n in range(9))
    assert root_cause(trace) == ["java.E6: step 6", "java.E7: step 7", "java.E8: step 8"]


def test_no_trace_has_no_cause():
    assert root_cause("") == []
