"""Messages as records for a topic."""

import subprocess
import sys

import pandas as pd

from operators.flink.keyed import pack
from operators.flink.records import MakeRecords
from operators.messages import NewWeights
from operators.strategy import record_of


def test_each_message_of_a_payload_is_a_text_of_value_and_key():
    function = MakeRecords(NewWeights, record_of)
    function.open(None)
    told = [NewWeights(n, "", tenant, f"m.{n}", {"c0": n / 3}) for n, tenant in
            enumerate(("a", "with\ttab", "c"))]  # fmt: skip
    made = function.eval(pd.Series([f"{pack(told[:2])},{pack(told[2:])}", pack(told[:1])]))
    split = [[tuple(text.split("\t", 1)[::-1]) for text in texts] for texts in made]
    assert split == [[record_of(one) for one in told], [record_of(told[0])]]


def test_what_the_worker_loads_to_make_records_is_without_numba():
    program = """
import sys
import operators.flink.records, operators.outcome_records, operators.strategy
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
