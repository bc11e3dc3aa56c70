"""A program loads what it takes for its part, and not what others need: seconds each time."""

import subprocess
import sys
from types import ModuleType

import pytest

from jobs.planning import PACKAGE, plan_only

PLANNED = """
from jobs import learn, recommend, understand
from jobs.planning import plan_only
plan_only()
from pyflink.fn_execution.flink_fn_execution_pb2 import StateDescriptor
"""
READ = "import jobs.settings, deploy.serving.console"
# PyFlink's worker puts a method of its own in the place of `print`, with which numba cannot load.
PARSED = "import operators.flink.parsing, jobs.read_functions, jobs.reading"


@pytest.mark.parametrize(("program", "heavy"), [
    (PLANNED, {"apache_beam", "pandas", "torch", "transformers"}),
    (READ, {"numba", "scipy", "pandas", "pyflink"}),
    (PARSED, {"numba", "torch", "transformers"}),
])  # fmt: skip
def test_nothing_is_loaded_for_others(program: str, heavy: set[str]) -> None:
    asked = f"{program}\nimport sys; print(*sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True)
    assert done.stdout.decode().strip() == ""


def test_what_is_loaded_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = ModuleType(PACKAGE)
    monkeypatch.setitem(sys.modules, PACKAGE, loaded)
    plan_only()
    assert sys.modules[PACKAGE] is loaded
