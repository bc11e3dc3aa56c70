"""Decode and check a batch of records once: a typed message, or a reason.

Pandas functions, because the records come as BYTES and only Arrow carries those in one piece. What
plans a job, or only unpacks what was parsed, does without pandas: two seconds to load.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf

from operators.describing import featured, written
from operators.events import (
    REJECTION_KINDS,
    Border,
    Interaction,
    Item,
    Rejected,
    parse_event,
    parse_item,
    subject_of,
)
from operators.flink.clock import wall_clock_ms
from operators.flink.collecting import collect_seldom
from operators.flink.cores import stay_off
from operators.flink.metrics import CpuCounter
from operators.flink.payload import pack
from operators.listing import deleted, listed
from operators.stage import bucket_of, scoped

if TYPE_CHECKING:
    import pandas as pd

PARSED = DataTypes.ROW(
    [
        DataTypes.FIELD("reason", DataTypes.STRING()),
        DataTypes.FIELD("bucket", DataTypes.INT()),
        DataTypes.FIELD("payload", DataTypes.STRING()),
    ]
)
"""Why the record is refused (null if it is not), the bucket it goes to, the packed message."""

Parsed = tuple[str | None, int, str]


class _Parser(ScalarFunction):
    """Shared shell; one record at a time behind it, so a bad one hurts no other."""

    def __init__(
        self, border: Border, buckets: int, late_ms: int, clock: Callable[[], int]
    ) -> None:
        self._border = border
        self._buckets = buckets
        self._late_ms = late_ms
        self._clock = clock

    def open(self, function_context: Any) -> None:
        stay_off()
        collect_seldom()
        self._group = function_context.get_metric_group().add_group("stage", "parse")
        self._records = self._group.counter("records")
        self._late = self._group.counter("late")
        self._cpu = CpuCounter(self._group)
        self._dead = {
            kind: self._group.add_group("reason", kind).counter("dead_letters")
            for kind in REJECTION_KINDS
        }

    def is_deterministic(self) -> bool:
        return False  # else the planner may decode every record once for each sink

    def _refuse(self, rejected: Rejected) -> Parsed:
        self._dead[rejected.kind].inc()
        return rejected.reason, 0, ""

    def _frame(self, parsed: Iterable[Parsed]) -> "pd.DataFrame":
        import pandas as pd

        rows = list(parsed)
        self._records.inc(len(rows))
        self._cpu.charge()
        return pd.DataFrame(rows, columns=["reason", "bucket", "payload"])


class ParseEvents(_Parser):
    """Records of `headwater.events` for the admission stage, by user."""

    def eval(self, values: "pd.Series") -> "pd.DataFrame":
        now_ms = self._clock()
        return self._frame(self._one(value, now_ms) for value in values)

    def _one(self, value: bytes | None, now_ms: int) -> Parsed:
        event = parse_event(value, now_ms, self._border)
        if isinstance(event, Rejected):
            return self._refuse(event)
        if event.event_time < now_ms - self._late_ms:
            self._late.inc()
        if isinstance(event, Interaction) and event.text and event.action != "mood":
            event = msgspec.structs.replace(event, text="")  # read by another job
        subject = subject_of(event) or ""
        return None, bucket_of(scoped(event.tenant, subject), self._buckets), pack([event])


class ParseItems(_Parser):
    """Records of `headwater.items` for the figures stage, by item; no value deletes the key."""

    def eval(self, keys: "pd.Series", values: "pd.Series", times_ms: "pd.Series") -> "pd.DataFrame":
        now_ms = self._clock()
        rows = zip(keys, values, times_ms, strict=True)
        return self._frame(self._one(key, value, int(at), now_ms) for key, value, at in rows)

    def _one(self, key: bytes | None, value: bytes | None, at_ms: int, now_ms: int) -> Parsed:
        record: Item | Rejected | None = None
        if value is None:
            message = deleted(key, at_ms, latest_ms=now_ms + self._border.future_max_ms)
        else:
            record = parse_item(value, now_ms, self._border)
            message = record if isinstance(record, Rejected) else listed(record)
        if isinstance(message, Rejected):
            return self._refuse(message)
        bucket = bucket_of(scoped(message.tenant, message.item), self._buckets)
        return None, bucket, pack([message])


class ParseFeatures(_Parser):
    """Records of `headwater.item-features` for the content stage, by item.

    A marker that a model version is complete moves nothing here, for nothing here compares
    vectors of two versions; it is counted and goes no further.
    """

    def eval(self, keys: "pd.Series", values: "pd.Series", times_ms: "pd.Series") -> "pd.DataFrame":
        now_ms = self._clock()
        rows = zip(keys, values, times_ms, strict=True)
        return self._frame(self._one(key, value, int(at), now_ms) for key, value, at in rows)

    def _one(self, key: bytes | None, value: bytes | None, at_ms: int, now_ms: int) -> Parsed:
        message = featured(key, value, at_ms, now_ms, self._border)
        if isinstance(message, Rejected):
            return self._refuse(message)
        if message is None:
            return None, 0, ""
        bucket = bucket_of(scoped(message.tenant, message.item), self._buckets)
        return None, bucket, pack([message])


class ParseSignals(_Parser):
    """Records of `headwater.text-signals` for the admission stage, by user."""

    def eval(self, values: "pd.Series") -> "pd.DataFrame":
        now_ms = self._clock()
        return self._frame(self._one(value, now_ms) for value in values)

    def _one(self, value: bytes | None, now_ms: int) -> Parsed:
        message = written(value, now_ms, self._border)
        if isinstance(message, Rejected):
            return self._refuse(message)
        bucket = bucket_of(scoped(message.tenant, message.user_id), self._buckets)
        return None, bucket, pack([message])


def signals_parser(border: Border, buckets: int, clock: Callable[[], int] = wall_clock_ms) -> Any:
    """`parse_signals(value BYTES)` for SQL."""
    function = ParseSignals(border, buckets, 2**60, clock)
    return udf(function, result_type=PARSED, func_type="pandas", deterministic=False)


def features_parser(border: Border, buckets: int, clock: Callable[[], int] = wall_clock_ms) -> Any:
    """`parse_features(key BYTES, value BYTES, time_ms BIGINT)` for SQL."""
    function = ParseFeatures(border, buckets, 2**60, clock)
    return udf(function, result_type=PARSED, func_type="pandas", deterministic=False)


def events_parser(
    border: Border, buckets: int, late_ms: int, clock: Callable[[], int] = wall_clock_ms
) -> Any:
    """`parse_events(value BYTES)` for SQL."""
    function = ParseEvents(border, buckets, late_ms, clock)
    return udf(function, result_type=PARSED, func_type="pandas", deterministic=False)


def items_parser(border: Border, buckets: int, clock: Callable[[], int] = wall_clock_ms) -> Any:
    """`parse_items(key BYTES, value BYTES, time_ms BIGINT)` for SQL."""
    function = ParseItems(border, buckets, 2**60, clock)
    return udf(function, result_type=PARSED, func_type="pandas", deterministic=False)
