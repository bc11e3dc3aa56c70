"""A program loads what it takes for its part, and not what others need: seconds each time."""

import subprocess
import sys
from types import ModuleType

import pytest

from jobs.planning import CLIENT, PACKAGE, leave_out

PLANNED = """
import os
from jobs import learn, recommend, understand
from jobs.planning import plan_only
{}
plan_only()
from pyflink.fn_execution.flink_fn_execution_pb2 import StateDescriptor
"""
BY_CLIENT, BY_ITSELF = (PLANNED.format(line) for line in (
    f"os.environ[{CLIENT!r}] = '1'", f"os.environ.pop({CLIENT!r}, None)"))  # fmt: skip
READ = "import jobs.settings, deploy.serving.console"
# PyFlink's worker puts a method of its own in the place of `print`, with which numba cannot load.
PARSED = "import operators.flink.parsing, jobs.files, jobs.read_functions, jobs.reading"


def loaded(program: str, wanted: set[str]) -> str:
    asked = f"{program}\nimport sys; print(*sorted({wanted!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.mark.parametrize(("program", "heavy"), [
    (BY_CLIENT, {"apache_beam", "pandas", "torch", "transformers"}),
    (READ, {"numba", "scipy", "pandas", "pyflink"}),
    (PARSED, {"numba", "torch", "transformers"}),
])  # fmt: skip
def test_nothing_is_loaded_for_others(program: str, heavy: set[str]) -> None:
    assert loaded(program, heavy) == ""


def test_a_program_that_runs_its_job_itself_loads_what_it_takes() -> None:
    assert loaded(BY_ITSELF, {"apache_beam"}) == "apache_beam"


def test_what_is_loaded_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ModuleType(PACKAGE)
    monkeypatch.setitem(sys.modules, PACKAGE, there)
    leave_out()
    assert sys.modules[PACKAGE] is there
