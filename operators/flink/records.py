"""Gradients and weights of JSON records: functions at the border to Kafka."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyflink.table.udf import ScalarFunction, udf

from operators.events import Rejected
from operators.flink.parsing import PARSED
from operators.flink.payload import pack
from operators.stage import bucket_of
from operators.strategy import parse_gradient, parse_weights

if TYPE_CHECKING:
    import pandas as pd


class ParseRecords(ScalarFunction):
    """Records as one message each, as none where they are about something else, or refused."""

    def __init__(self, parse: Callable[[bytes | None], Any], buckets: int) -> None:
        self._parse = parse
        self._buckets = buckets

    def is_deterministic(self) -> bool:
        return False

    def eval(self, values: "pd.Series") -> "pd.DataFrame":
        import pandas as pd

        rows = [self._one(value) for value in values]
        return pd.DataFrame(rows, columns=["reason", "bucket", "payload"])

    def _one(self, value: bytes | None) -> tuple[str | None, int, str]:
        message = self._parse(value)
        if isinstance(message, Rejected):
            return message.reason, 0, ""
        if message is None:
            return None, 0, ""
        return None, bucket_of(message.tenant, self._buckets), pack([message])


def weights_parser() -> Any:
    """`parse_weights(value BYTES)` for SQL; the messages are for all buckets."""
    return _parser(parse_weights, 1)


def gradients_parser(buckets: int) -> Any:
    """`parse_gradients(value BYTES)` for SQL, by tenant."""
    return _parser(parse_gradient, buckets)


def _parser(parse: Callable[[bytes | None], Any], buckets: int) -> Any:
    function = ParseRecords(parse, buckets)
    return udf(function, result_type=PARSED, func_type="pandas", deterministic=False)
