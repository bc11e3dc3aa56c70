"""The job `recommend` on a local mini cluster, between files: run as a program of its own.

Usage: python -m jobs.local FOLDER [--config FILE] [--capture CHANNEL] [KEY=VALUE ...]. Reads
FOLDER/events, FOLDER/items and, where they exist, FOLDER/features and FOLDER/signals, a record a
line. What goes to Cassandra is appended to FOLDER/rows, what the lists are judged by to
FOLDER/outcomes, a payload of the stages a line (`--capture` takes one of the two alone); dead
letters go to FOLDER/dead. It is the very graph of `jobs.recommend.build`; only its ends are others.
"""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pyflink.common import Configuration, Row
from pyflink.datastream import ProcessFunction, StreamExecutionEnvironment

from jobs.files import append, file_source
from jobs.planning import leave_out
from jobs.recommend import build
from jobs.settings import Recommend, load
from jobs.tables import (
    DEAD_LETTER_COLUMNS,
    DEAD_LETTERS,
    EVENTS,
    FEATURES,
    ITEMS,
    SIGNALS,
    table_environment,
)

PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of linux/prctl.h."""
FUNCTIONS_RUN_IN = "_python_worker_execution_mode"
"""PyFlink's own, which its tests set."""
CHANNELS = ("rows", "outcomes", "strategy")
"""What is captured: rows come from all stages, the others from the ranking."""


class Capture(ProcessFunction):
    """In place of a sink: every payload becomes a line of a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def process_element(self, value: Row, ctx: ProcessFunction.Context) -> list[Any]:
        append(self._path, [value[0]])
        return []


def environment() -> StreamExecutionEnvironment:
    """Thread mode, and an error that ends the job instead of starting it again."""
    settings = {
        "python.execution-mode": "thread",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "restart-strategy.type": "none",
        "taskmanager.memory.managed.size": "256m",
        "taskmanager.memory.network.max": "64m",
    }
    # Else PyFlink would get ready to run Python functions in this process, and then run none.
    os.environ[FUNCTIONS_RUN_IN] = "process"
    leave_out()
    configuration = Configuration()
    for key, value in settings.items():
        configuration.set_string(key, value)
    return StreamExecutionEnvironment.get_execution_environment(configuration)


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone, however that ended.

    Its JVM ends when it can read no more from this process. Linux alone; elsewhere nothing changes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)


def main(folder: Path, config: Path | None, capture: list[str], overrides: list[str]) -> None:
    """Run the job to its end."""
    more = {FEATURES: ("item_features", "features"), SIGNALS: ("text_signals", "signals")}
    for setting, name in more.values():
        if not (folder / name).exists():
            overrides = [f"kafka.{setting}=", *overrides]
    settings = load(Recommend, config, overrides)
    tables = table_environment(environment(), settings)
    file_source(tables, settings, EVENTS, folder / "events")
    file_source(tables, settings, ITEMS, folder / "items")
    for source, (_, name) in more.items():
        if (folder / name).exists():
            file_source(tables, settings, source, folder / name)
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE {DEAD_LETTERS} ({DEAD_LETTER_COLUMNS}) WITH "
        f"('connector'='filesystem', 'path'='{(folder / 'dead').as_uri()}', 'format'='json')"
    )
    captured = {name: Capture(str(folder / name)) for name in capture or CHANNELS}
    build(tables, settings, captured).execute().wait()


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description="The job recommend between files")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, help="settings file, table [recommend]")
    parser.add_argument(
        "--capture", action="append", default=[], choices=CHANNELS, help="default: all"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    end_with_parent()
    main(**vars(arguments()))
