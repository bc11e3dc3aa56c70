"""Outcomes and weights as JSON records, and back: functions at the border to Kafka."""

from collections.abc import Callable
from typing import Any

import msgspec
import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf

from operators.events import Rejected
from operators.flink.keyed import pack, unpack
from operators.flink.parsing import PARSED
from operators.stage import bucket_of
from operators.strategy import parse_gradient, parse_weights

Record = tuple[str, str]
"""Key and value."""


class MakeRecords(ScalarFunction):
    """The records of a payload's messages, each one text: its value, a tab, its key.

    A pandas function, for those run in a process of their own. A table function would run in the
    interpreter of the stage that it is chained behind, which PEMJA is not re-entrant for: while
    the stage hands out its rows, the task hangs.
    """

    def __init__(self, kind: Any, record_of: Callable[[Any], Record]) -> None:
        self._kind = kind
        self._record_of = record_of

    def open(self, function_context: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(
            list[self._kind]  # type: ignore[name-defined]
        )

    def is_deterministic(self) -> bool:
        return False

    def eval(self, payloads: pd.Series) -> pd.Series:
        return pd.Series([self._texts(payload) for payload in payloads], dtype=object)

    def _texts(self, payload: str) -> list[str]:
        """JSON has no tab of its own, so the first one is where the key begins."""
        records = map(self._record_of, unpack(self._decoder, payload))
        return [f"{value}\t{key}" for key, value in records]


class ParseRecords(ScalarFunction):
    """Records as one message each, as none where they are about something else, or refused."""

    def __init__(self, parse: Callable[[bytes | None], Any], buckets: int) -> None:
        self._parse = parse
        self._buckets = buckets

    def is_deterministic(self) -> bool:
        return False

    def eval(self, values: pd.Series) -> pd.DataFrame:
        rows = [self._one(value) for value in values]
        return pd.DataFrame(rows, columns=["reason", "bucket", "payload"])

    def _one(self, value: bytes | None) -> tuple[str | None, int, str]:
        message = self._parse(value)
        if isinstance(message, Rejected):
            return message.reason, 0, ""
        if message is None:
            return None, 0, ""
        return None, bucket_of(message.tenant, self._buckets), pack([message])


def records_of(kind: Any, record_of: Callable[[Any], Record]) -> Any:
    """`f(payload STRING)` for SQL: an array of `MakeRecords` texts, one a message of this kind."""
    return udf(
        MakeRecords(kind, record_of), result_type=DataTypes.ARRAY(DataTypes.STRING()),
        func_type="pandas", deterministic=False,
    )  # fmt: skip


def weights_parser() -> Any:
    """`parse_weights(value BYTES)` for SQL; the messages are for all buckets."""
    return _parser(parse_weights, 1)


def gradients_parser(buckets: int) -> Any:
    """`parse_gradients(value BYTES)` for SQL, by tenant."""
    return _parser(parse_gradient, buckets)


def _parser(parse: Callable[[bytes | None], Any], buckets: int) -> Any:
    function = ParseRecords(parse, buckets)
    return udf(function, result_type=PARSED, func_type="pandas", deterministic=False)
