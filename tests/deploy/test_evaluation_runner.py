"""The job's own process ends with the one that runs it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.stack.processes import read_stat
from tests.waiting import wait_for

PROGRAM = """
import signal, sys
from pathlib import Path
from deploy.evaluation import runner

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have set it aside
sys.executable = sys.argv[1]
runner.run(Path(sys.argv[2]), [])
"""
JOB = """#!/bin/sh
sleep 300 &
echo $$ $! > pids.part
mv pids.part pids
wait
"""


def is_gone(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is None or stat.state == "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_killed_evaluation_leaves_nothing_behind(number, tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.write_text(JOB)
    job.chmod(0o755)
    command = [sys.executable, "-c", PROGRAM, str(job), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        try:
            wait_for((tmp_path / "pids").exists, "the job to begin", 60)
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            assert not any(map(is_gone, pids))
            running.send_signal(number)
            assert running.wait(60) == (-number if number == signal.SIGINT else 128 + number)
        finally:
            running.kill()
    wait_for(lambda: all(map(is_gone, pids)), f"{pids} to be gone", 60)
