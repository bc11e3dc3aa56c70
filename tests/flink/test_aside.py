"""A process beside a worker: what it answers, and how it ends."""

import os
import re
import signal
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from pyflink.common import Row

from operators.flink import aside, sink
from operators.flink.aside import Aside, AsideError
from operators.flink.payload import pack
from operators.flink.sink import WriteRows
from tests.flink.fakes import FakeContext
from tests.flink.test_cassandra_writer import SETTINGS, listed, profile

NOWHERE = "tests.flink.written_nowhere"
ONCE = msgspec.structs.replace(SETTINGS, attempts=1)


@pytest.fixture
def beside():
    made = Aside(NOWHERE, encoded(ONCE))
    yield made
    made.close()


def encoded(settings) -> bytes:
    return msgspec.msgpack.encode(settings)


def payload(*rows) -> bytes:
    return pack(list(rows)).encode()


def told(answer: bytes) -> dict[str, int]:
    counts = msgspec.msgpack.decode(answer)
    return {name: count for name, count in counts.items() if name in ("rows", "lists")}


def test_it_answers_each_question(beside):
    assert told(beside.begun) == {"rows": 0, "lists": 0}
    assert told(beside.ask(payload(listed("u", 1), profile("u", 1)))) == {"rows": 2, "lists": 1}
    assert told(beside.ask(payload(listed("u", 2)))) == {"rows": 1, "lists": 1}


def test_a_long_question_arrives_whole(beside):
    many = [profile(f"user {number} {number**9:x}", 1) for number in range(100_000)]
    asked = payload(*many)
    assert len(asked) > 1_000_000, "it would fit into a pipe"
    assert told(beside.ask(asked)) == {"rows": 100_000, "lists": 0}


def test_what_goes_wrong_is_said_and_the_next_question_is_answered(beside):
    wrong = "1 writes to Cassandra at 10.0.0.7, 10.0.0.8:9043 failed 1 times"
    with pytest.raises(AsideError, match=f"WriteFailedError: {wrong}"):
        beside.ask(payload(profile("nobody", 1)))
    assert told(beside.ask(payload(profile("u", 2)))) == {"rows": 1, "lists": 0}


def test_one_that_is_killed_is_named(beside):
    os.kill(beside._process.pid, signal.SIGKILL)
    beside._process.wait()
    for _ in range(2):
        with pytest.raises(AsideError, match=f"{re.escape(NOWHERE)} .* has ended with -9"):
            beside.ask(payload(profile("u", 1)))


def test_one_that_cannot_begin_is_not_left_behind(monkeypatch):
    made, popen = [], aside.subprocess.Popen

    def start(*told, **more):
        made.append(popen(*told, **more))
        return made[0]

    monkeypatch.setattr(aside.subprocess, "Popen", start)
    with pytest.raises(AsideError, match="ValidationError"):
        Aside(NOWHERE, msgspec.msgpack.encode({"hosts": 7}))
    assert made[0].returncode == 0


def test_it_ends_with_its_input():
    made = Aside(NOWHERE, encoded(ONCE))
    made._asked.close()
    assert made._process.wait(10) == 0
    made.close()


def test_one_that_does_not_end_is_killed(beside, monkeypatch):
    monkeypatch.setattr(aside, "END_S", 0.1)
    os.kill(beside._process.pid, signal.SIGSTOP)
    beside.close()
    assert beside._process.returncode == -signal.SIGKILL


def test_it_ends_with_the_thread_that_started_it_although_nobody_closes_it():
    made = []
    thread = threading.Thread(target=lambda: made.append(Aside(NOWHERE, encoded(ONCE))))
    thread.start()
    thread.join()
    (left,) = made
    assert left._process.wait(20) == 0
    assert left._process in aside._started
    Aside(NOWHERE, encoded(ONCE)).close()
    assert left._process not in aside._started
    assert left._asked.closed


def test_who_gives_up_does_not_wait_for_the_answer(monkeypatch):
    monkeypatch.setattr(aside, "LOOKS_EVERY_S", 0.05)
    looks = iter([False, False, True])
    made = Aside(NOWHERE, encoded(ONCE))
    made._unwanted = lambda: next(looks)
    os.kill(made._process.pid, signal.SIGSTOP)
    with pytest.raises(AsideError, match="ends before what it asked for is done"):
        made.ask(payload(profile("u", 1)))
    assert next(looks, None) is None
    made._process.kill()
    made.close()


def test_outside_of_a_jvm_nothing_is_interrupted():
    assert not sink.is_interrupted()


@pytest.mark.parametrize(("told", "name"), [("/usr/bin/java", "python3.11"), ("", "python3.11")])
def test_inside_a_jvm_the_python_of_the_path_is_started(told, name, monkeypatch, tmp_path):
    assert aside.python() == sys.executable
    (tmp_path / name).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", told)
    assert Path(aside.python()) == tmp_path / name
    (tmp_path / name).unlink()
    with pytest.raises(AsideError, match="no python3 in PATH"):
        aside.python()


# --- the sink


@pytest.fixture
def opened(monkeypatch):
    monkeypatch.setattr(sink, "PROGRAM", NOWHERE)
    context, function = FakeContext(), WriteRows(ONCE)
    function.open(context)
    yield function, context
    function.close()


def test_a_payload_is_written_when_the_function_returns_and_counted(opened):
    function, context = opened
    assert context.counts["rows"] == 0
    for number in range(3):
        row = Row(pack([listed("u", number), listed("v", number)]))
        assert function.process_element(row, context) == []
    assert (context.counts["rows"], context.counts["lists"]) == (6, 6)
    assert context.counts["freshness_ms_count"] == 6
    assert context.counts["cpu_us"] > 0
    assert context.counts["listed_items"] == 1
    assert not context.gauges, "Flink would ask them after the end of the interpreter"


def test_a_payload_that_is_not_written_fails_the_task(opened):
    function, context = opened
    with pytest.raises(AsideError, match="the job goes back to its last checkpoint"):
        function.process_element(Row(pack([profile("nobody", 1)])), context)


def test_a_sink_that_never_opened_closes():
    WriteRows(ONCE).close()
