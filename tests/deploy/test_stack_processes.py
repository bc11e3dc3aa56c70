"""Process records, sessions and usage, on real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from deploy.stack import processes
from deploy.stack.processes import Record
from tests.waiting import wait_for

ENV = {"PATH": os.environ["PATH"]}
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
time.sleep(600)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""

Spawn = Callable[..., Record]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts a Python program as a service and waits for its `ready`; kills it at the end."""
    made: list[Record] = []

    def start(program: str, mark: str = "home#service") -> Record:
        output = tmp_path / f"{len(made)}" / "output.log"
        command = [sys.executable, "-c", program]
        record = processes.spawn("service", command, ENV, output, mark)
        made.append(record)
        if "ready" in program:
            wait_for(lambda: "ready" in output.read_text(), "its start", 30, 0.02)
        return record

    yield start
    for record in made:
        processes.kill_session(record)


def test_a_service_holds_neither_pipes_nor_locks_of_whoever_started_it(spawn: Spawn) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        spawn("import time; print('ready', flush=True); time.sleep(600)")
    finally:
        os.close(writing)
    assert os.read(reading, 1) == b"", "the end of the pipe would never come"
    os.close(reading)


def test_a_started_process_leads_its_own_session_and_is_alive(spawn: Spawn) -> None:
    record = spawn(DEAF)
    stat = processes.read_stat(record.pid)
    assert stat is not None
    assert stat.session == record.pid
    assert stat.session != os.getsid(0)
    assert processes.alive(record)


def test_it_runs_in_its_log_folder_with_the_given_environment_and_no_input(
    spawn: Spawn, tmp_path: Path
) -> None:
    program = "import os, sys; print(os.getcwd(), sorted(os.environ), sys.stdin.read() == '')"
    record = spawn(program + "; print('ready')")
    wait_for(lambda: not processes.alive(record), "its end", 30, 0.02)
    text = (tmp_path / "0" / "output.log").read_text()
    assert str(tmp_path / "0") in text
    assert processes.MARK in text
    assert "HOME" not in text
    assert "True" in text


def test_a_process_that_has_ended_is_not_alive_although_nobody_else_collected_it(
    spawn: Spawn,
) -> None:
    record = spawn("pass")
    wait_for(lambda: not processes.alive(record), "its end", 30, 0.02)
    assert processes.usage(record) is None


def test_a_process_whose_first_thread_is_gone_lives_while_another_holds_on(spawn: Spawn) -> None:
    program = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "print('ready', flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    record = spawn(program)
    wait_for(lambda: " Z " in Path(f"/proc/{record.pid}/stat").read_text(), "a zombie", 30, 0.02)
    assert processes.alive(record)


def test_another_process_with_the_same_number_is_not_taken_for_ours(spawn: Spawn) -> None:
    record = spawn(DEAF)
    reused = msgspec.structs.replace(record, start_ticks=record.start_ticks - 1)
    assert not processes.alive(reused)
    processes.stop(reused, timeout_s=1)
    assert processes.alive(record), "a stranger's process was stopped"


def test_a_record_of_an_earlier_boot_is_never_alive(spawn: Spawn) -> None:
    record = spawn(PARENT)
    earlier = msgspec.structs.replace(record, boot_id="00000000-0000-0000-0000-000000000000")
    assert not processes.alive(earlier)
    assert processes.members(earlier) == []


def test_stop_takes_the_children_along(spawn: Spawn) -> None:
    record = spawn(PARENT)
    wait_for(lambda: len(processes.members(record)) == 2, "its child", 30, 0.02)
    pids = [stat.pid for stat in processes.members(record)]
    assert processes.stop(record, timeout_s=10)
    assert [pid for pid in pids if processes.read_stat(pid)] == []


def test_a_process_that_does_not_listen_is_killed_after_its_time(spawn: Spawn) -> None:
    record = spawn(DEAF)
    assert processes.stop(record, timeout_s=0.2)
    assert not processes.alive(record)


def test_children_that_outlive_their_leader_are_found_and_killed(spawn: Spawn) -> None:
    record = spawn(PARENT)
    wait_for(lambda: len(processes.members(record)) == 2, "its child", 30, 0.02)
    processes.send(record.pid, signal.SIGKILL)
    wait_for(lambda: not processes.alive(record), "its end", 30, 0.02)
    left = processes.members(record)
    assert len(left) == 1
    assert processes.kill_session(record)
    assert processes.read_stat(left[0].pid) is None


def test_a_strangers_session_under_a_reused_number_is_left_alone(spawn: Spawn) -> None:
    stranger = spawn(PARENT, mark="another home#service")
    wait_for(lambda: len(processes.members(stranger)) == 2, "its child", 30, 0.02)
    stale = msgspec.structs.replace(stranger, start_ticks=1, mark="home#service")
    assert processes.members(stale) == []
    assert processes.kill_session(stale)
    assert len(processes.members(stranger)) == 2


def test_usage_adds_the_workers_to_the_leader(spawn: Spawn) -> None:
    record = spawn(PARENT)
    wait_for(lambda: len(processes.members(record)) == 2, "its child", 30, 0.02)
    use = processes.usage(record)
    leader = processes.read_stat(record.pid)
    assert use is not None
    assert leader is not None
    assert use.workers == 1
    assert use.rss_bytes > leader.rss_bytes > 1_000_000
    assert 0 <= use.age_s < 600


def test_usage_counts_the_cpu_time_that_was_spent(spawn: Spawn) -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint('ready', flush=True)\n"
    use = processes.usage(spawn(busy + "time.sleep(600)"))
    assert use is not None
    assert 0.2 < use.cpu_s < 60


def test_a_command_name_with_brackets_and_blanks_is_read_right(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "600"]) as process:
        try:
            stat = processes.read_stat(process.pid)
            assert stat is not None
            assert stat.session == os.getsid(0)
        finally:
            process.kill()


def test_records_survive_the_round_trip_and_can_be_forgotten(tmp_path: Path) -> None:
    one = Record("kafka", 12, 34, "boot", "home#kafka", "digest")
    two = Record("taskmanager-1", 56, 78, "boot", "home#taskmanager-1", resource_id="tm-1")
    processes.save(one, tmp_path)
    processes.save(two, tmp_path)
    assert processes.load(tmp_path) == {"kafka": one, "taskmanager-1": two}
    processes.forget("kafka", tmp_path)
    processes.forget("kafka", tmp_path)
    assert processes.load(tmp_path) == {"taskmanager-1": two}


def test_a_record_that_cannot_be_read_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / "kafka.json").write_text('{"service": "kaf')
    (tmp_path / "cassandra.json").write_text('{"pid": 1}')
    assert processes.load(tmp_path) == {}
    assert processes.load(tmp_path / "none") == {}
