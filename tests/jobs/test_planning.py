"""A submission loads what it takes to plan a job, and not what runs it."""

import subprocess
import sys

PLANNED = """
import sys
from jobs import learn, recommend, understand
from jobs.planning import plan_only
plan_only()
from pyflink.fn_execution.flink_fn_execution_pb2 import StateDescriptor
print(*sorted({"apache_beam", "pandas", "torch", "transformers"} & sys.modules.keys()))
"""
RUN = """
import pyflink.fn_execution
from jobs.planning import plan_only
plan_only()
print(pyflink.fn_execution.PYFLINK_CYTHON_ENABLED)
"""


def printed(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_jobs_are_planned_without_what_runs_them() -> None:
    assert printed(PLANNED) == ""


def test_what_is_loaded_already_stays() -> None:
    assert printed(RUN) == "True"
