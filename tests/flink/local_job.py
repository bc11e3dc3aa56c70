"""The job `recommend` on a local mini cluster, between files: run as a program of its own.

Usage: local_job.py FOLDER [KEY=VALUE ...]. Reads FOLDER/events and FOLDER/items (a record a
line), appends what would be written to Cassandra to FOLDER/rows and the dead letters to
FOLDER/dead.
"""

import sys
from pathlib import Path

import pandas as pd
from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import DataTypes, StreamTableEnvironment
from pyflink.table.udf import ScalarFunction, udf

from jobs.recommend import build
from jobs.settings import Recommend, load
from jobs.wiring import (
    DEAD_LETTER_COLUMNS,
    DEAD_LETTERS,
    EVENTS,
    ITEMS,
    interval,
    table_environment,
    time_column,
)


class Capture(ScalarFunction):
    """In place of the writer: every payload becomes a line."""

    def __init__(self, path: str) -> None:
        self._path = path

    def is_deterministic(self) -> bool:
        return False

    def eval(self, payloads: pd.Series) -> pd.Series:
        with Path(self._path).open("a") as file:
            file.writelines(f"{payload}\n" for payload in payloads)
        return pd.Series([True] * len(payloads))


def file_source(tables: StreamTableEnvironment, settings: Recommend, name: str, path: Path) -> None:
    """A table with the columns of a topic, from the lines of a file."""
    behind = interval(settings.disorder_ms + 1) if name == EVENTS else "INTERVAL '99' YEAR"
    columns = (
        "`value` BYTES, `key` AS CAST(NULL AS BYTES), `partition` AS 0, "
        "`offset` AS CAST(7 AS BIGINT), `arrived` AS TO_TIMESTAMP_LTZ(0, 3), "
        f"{time_column(settings, '0')}"
    )
    if settings.clock == "replay":
        columns += f", WATERMARK FOR `ts` AS `ts` - {behind}"
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE {name} ({columns}) "
        f"WITH ('connector'='filesystem', 'path'='{path.as_uri()}', 'format'='raw')"
    )


def environment() -> StreamExecutionEnvironment:
    """Thread mode, and an error that ends the job instead of starting it again."""
    settings = {
        "python.execution-mode": "thread",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "python.fn-execution.bundle.time": "50",
        "restart-strategy.type": "none",
        "taskmanager.memory.managed.size": "256m",
        "taskmanager.memory.network.max": "64m",
    }
    configuration = Configuration()
    for key, value in settings.items():
        configuration.set_string(key, value)
    return StreamExecutionEnvironment.get_execution_environment(configuration)


def main(folder: Path, overrides: list[str]) -> None:
    """Run the job to its end."""
    settings = load(Recommend, None, overrides)
    tables = table_environment(environment(), settings)
    file_source(tables, settings, EVENTS, folder / "events")
    file_source(tables, settings, ITEMS, folder / "items")
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE {DEAD_LETTERS} ({DEAD_LETTER_COLUMNS}) WITH "
        f"('connector'='filesystem', 'path'='{(folder / 'dead').as_uri()}', 'format'='json')"
    )
    writer = udf(
        Capture(str(folder / "rows")), result_type=DataTypes.BOOLEAN(), func_type="pandas",
        deterministic=False,
    )  # fmt: skip
    tables.create_temporary_function("write_rows", writer)
    build(tables, settings).execute().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
