"""What a process needs that plans a job and does not run it.

When it is first imported, PyFlink's package `fn_execution` loads Beam, pandas and half of what they
know, to see whether its compiled parts work: 5 of the 8 s of CPU that a submission took in Python.
Planning needs a single module of it, of messages, which needs none of that.
"""

import importlib.util
import sys

PACKAGE = "pyflink.fn_execution"


def plan_only() -> None:
    """From now on, modules of the package are found without its own code having run.

    For a process that runs no Python function of a job itself; without effect where the package is
    loaded already.
    """
    if PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None:
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
