"""Files in place of topics, a record a line: for jobs on a local mini cluster.

Apart from the jobs, since functions that append may run in a worker which loads none of them.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from pyflink.table import StreamTableEnvironment

from jobs.settings import Job
from jobs.tables import EVENTS, IN_ANY_ORDER, interval, time_column


def append(path: str, payloads: Iterable[str]) -> None:
    """Write lines at once: several workers append to the same file."""
    lines = "".join(f"{payload}\n" for payload in payloads).encode()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, lines)
    finally:
        os.close(file)


def file_source(tables: StreamTableEnvironment, settings: Job, name: str, path: Path) -> None:
    """A table with the columns of a topic, from the lines of a file."""
    behind = interval(settings.disorder_ms + 1) if name == EVENTS else IN_ANY_ORDER
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
