"""What a process needs that plans a job and does not run it.

When it is first imported, PyFlink's package `fn_execution` loads Beam, pandas and half of what they
know, to see whether its compiled parts work: 5 of the 8 s of CPU that a submission took in Python.
Planning needs a single module of it, of messages, which needs none of that.
"""

import importlib.util
import os
import sys

PACKAGE = "pyflink.fn_execution"
CLIENT = "PYFLINK_GATEWAY_PORT"
"""Set where Flink's client runs a program: there it plans a job, and others run it."""


def plan_only() -> None:
    """Leave out what runs a job, where Flink's client runs this program; else it does so itself."""
    if CLIENT in os.environ:
        leave_out()


def leave_out() -> None:
    """From now on, modules of the package are found without its own code having run.

    Without effect where the package is loaded already.
    """
    if PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None:
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
