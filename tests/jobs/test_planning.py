"""A submission loads what it takes to plan a job, and not what runs it."""

import subprocess
import sys
from types import ModuleType

import pytest

from jobs.planning import PACKAGE, plan_only

PLANNED = """
import sys
from jobs import learn, recommend, understand
from jobs.planning import plan_only
plan_only()
from pyflink.fn_execution.flink_fn_execution_pb2 import StateDescriptor
print(*sorted({"apache_beam", "pandas", "torch", "transformers"} & sys.modules.keys()))
"""


def test_jobs_are_planned_without_what_runs_them() -> None:
    done = subprocess.run([sys.executable, "-c", PLANNED], capture_output=True, check=True)
    assert done.stdout.decode().strip() == ""


def test_what_is_loaded_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = ModuleType(PACKAGE)
    monkeypatch.setitem(sys.modules, PACKAGE, loaded)
    plan_only()
    assert sys.modules[PACKAGE] is loaded
