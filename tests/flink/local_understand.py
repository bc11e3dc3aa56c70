"""The job `understand` on a local mini cluster, between files: run as a program of its own.

Usage: local_understand.py FOLDER [KEY=VALUE ...]. Reads FOLDER/events and FOLDER/items (a record a
line); a model of words in place of a real one. Appends what would go to Cassandra to FOLDER/rows;
features, signals and dead letters are folders of files.
"""

import sys
from functools import partial
from pathlib import Path

import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf

from jobs.files import append, file_source
from jobs.local import environment
from jobs.read_functions import events_reader, items_reader
from jobs.settings import load
from jobs.tables import DEAD_LETTER_COLUMNS, DEAD_LETTERS, EVENTS, ITEMS, table_environment
from jobs.understand import FEATURES, SIGNALS, build
from jobs.understand_settings import Understand
from operators.flink.clock import wall_clock_ms
from udfs.fake import HashEncoder
from udfs.reader import Reader, Remembered
from udfs.tags import Tags

POISON = "unreadable"


class Capture(ScalarFunction):
    """In place of the function that writes features: every payload becomes a line of a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def is_deterministic(self) -> bool:
        return False

    def eval(self, payloads: pd.Series) -> pd.Series:
        append(self._path, payloads)
        return pd.Series([True] * len(payloads))


def reader() -> Reader:
    """Of the model of words, with tags; a text with `POISON` in it fails in the model."""
    return Reader(HashEncoder(refuse=POISON), lambda: {"tags": Tags()}, remembered=Remembered(1000))


def main(folder: Path, overrides: list[str]) -> None:
    """Run the job to its end."""
    settings = load(Understand, None, overrides)
    tables = table_environment(environment(), settings)
    file_source(tables, settings, EVENTS, folder / "events")
    file_source(tables, settings, ITEMS, folder / "items")
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE {DEAD_LETTERS} ({DEAD_LETTER_COLUMNS}) WITH "
        f"('connector'='filesystem', 'path'='{(folder / 'dead').as_uri()}', 'format'='json')"
    )
    for name, place in ((FEATURES, "features"), (SIGNALS, "signals")):
        tables.execute_sql(
            f"CREATE TEMPORARY TABLE {name} (`key` STRING, `value` STRING) WITH "
            f"('connector'='filesystem', 'path'='{(folder / place).as_uri()}', 'format'='json')"
        )
    writer = udf(
        Capture(str(folder / "rows")), result_type=DataTypes.BOOLEAN(), func_type="pandas",
        deterministic=False,
    )  # fmt: skip
    tables.create_temporary_function("write_features", writer)
    common = ("understand", partial(reader), settings.border, settings.buckets, wall_clock_ms)
    tables.create_temporary_function("read_items", items_reader(*common, {0: 8}))
    tables.create_temporary_function("read_events", events_reader(*common))
    build(tables, settings).execute().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
