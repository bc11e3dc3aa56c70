"""What SQL makes of records, and records of what stages say: each way with its twin in Python."""

import json
import subprocess
import sys

import pytest

from jobs.border import frames, written
from operators.flink.keyed import record_lines
from operators.framing import Framed, frame
from operators.messages import NewWeights
from operators.readings import Record
from operators.readings import record_of as of_features
from operators.strategy import record_of

RECORDS = [
    list(record_of(NewWeights(1, "", "default", "m.1", {"c0": 1 / 3}))),
    ["with\ttab and\nbreak", '{"b":"\\\\ \\n \\t"}'],
    ['"quoted" \\ 用户 \U0001f600', "{}"],
    list(of_features(Record("gone", None, 7))),
]
LINES = [("sums", "x"), *(("told", record_lines(some)) for some in (RECORDS[:2], RECORDS[2:]))]
READ = [
    Framed(0, 0, 1_700_000_000_999, True, None, '{"标题": "\U0001f600"}'.encode()),
    Framed(3, 2**40, 1_700_000_000_999, True, b"key", None),
    Framed(1, 7, 1_700_000_000_999, True, b"", b""),
    Framed(2, 8, 1_700_000_000_999, True, bytes(range(256)), b"0 0 0 0 - 1\n\x00\xff"),
]

PROGRAM = """
import json, sys
from pyflink.table import DataTypes as T, EnvironmentSettings, TableEnvironment

queries, lines, read = json.load(sys.stdin)
tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
tables.get_config().set("table.local-time-zone", "UTC")
def view(name, rows, **types):
    fields = T.ROW([T.FIELD(field, kind) for field, kind in types.items()])
    tables.create_temporary_view(name, tables.from_elements([tuple(row) for row in rows], fields))
view("records_learning", lines, channel=T.STRING(), payload=T.STRING())
for row in read:
    row[2:] = [None if part is None else bytearray(part, "latin-1") for part in row[2:]]
view("only_read", read, partition=T.INT(), offset=T.BIGINT(), key=T.BYTES(), value=T.BYTES())
tables.execute_sql("CREATE TEMPORARY VIEW source_events AS SELECT *, 0 AS ts, "
                   "TO_TIMESTAMP_LTZ(1700000000123, 3) AS arrived FROM only_read")
for query in queries:
    with tables.execute_sql(query).collect() as found:
        print(json.dumps([list(row) for row in found]))
"""
"""A process of its own: PyFlink leaves its JVM running until the end of the one it is in."""


@pytest.fixture(scope="module")
def told() -> list[list]:
    """What the two queries give."""
    queries = [written("learning", "told", "").removeprefix("INSERT INTO  "),
               frames("source_events", "1")]  # fmt: skip
    read = [[record.partition, record.offset, *map(text, (record.key, record.value))]
            for record in READ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], input=json.dumps([queries, LINES, read]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()[-2:]]


def text(part: bytes | None) -> str | None:
    return None if part is None else part.decode("latin-1")


def test_lines_become_key_and_value_of_the_records_again(told):
    assert sorted(told[0]) == sorted([key, value or None] for key, value in RECORDS)


def test_records_are_framed_as_python_frames_them_whatever_bytes_they_have(told):
    expected = [[record.partition, frame(record), 0] for record in READ]
    assert sorted(told[1]) == sorted(expected)
