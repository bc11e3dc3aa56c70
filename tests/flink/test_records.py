"""Messages as records for a topic: lines out of Python, key and value in SQL."""

import json
import subprocess
import sys

from jobs.border import written
from operators.flink.keyed import record_lines
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

PROGRAM = """
import json, sys
from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment

query, rows = json.load(sys.stdin)
tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
names = [DataTypes.FIELD(name, DataTypes.STRING()) for name in ("channel", "payload")]
view = tables.from_elements([tuple(row) for row in rows], DataTypes.ROW(names))
tables.create_temporary_view("records_learning", view)
with tables.execute_sql(query).collect() as found:
    print(json.dumps([list(row) for row in found]))
"""
"""A process of its own: PyFlink leaves its JVM running until the end of the one it is in."""


def test_lines_become_key_and_value_of_the_records_again():
    rows = [("sums", "x"), *(("told", record_lines(some)) for some in (RECORDS[:2], RECORDS[2:]))]
    query = written("learning", "told", "").removeprefix("INSERT INTO  ")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], input=json.dumps([query, rows]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert sorted(found) == sorted([key, value or None] for key, value in RECORDS)
