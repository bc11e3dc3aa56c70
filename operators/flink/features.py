"""The writer of `item_features`, at the end of `understand`."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf
from tenacity import Retrying, stop_after_attempt, wait_exponential_jitter

from operators import feature_rows
from operators.events import Rejected
from operators.features_wire import ItemFeatures, ItemGone, parse_features
from operators.flink.cassandra import SinkSettings, WriteFailedError, connect, patiently
from operators.flink.collecting import collect_seldom
from operators.flink.metrics import CpuCounter
from operators.flink.payload import unpack
from operators.readings import Record
from operators.rows import Value

Write = tuple[str, list[Value]]
"""Statement and the bytes of its values."""

if TYPE_CHECKING:
    import pandas as pd


def writes_of(records: Sequence[Record]) -> list[Write]:
    """The newest write of each item; markers are none."""
    newest: dict[str, Record] = {}
    for record in records:
        if record.key not in newest or record.written_us >= newest[record.key].written_us:
            newest[record.key] = record
    writes: list[Write] = []
    for record in newest.values():
        value = None if record.value is None else record.value.encode()
        parsed = parse_features(record.key.encode(), value)
        if isinstance(parsed, ItemFeatures):
            writes.append((feature_rows.SAID, feature_rows.said(parsed, record.written_us)))
        elif isinstance(parsed, ItemGone):
            writes.append((feature_rows.GONE, feature_rows.gone(parsed, record.written_us)))
        elif isinstance(parsed, Rejected):
            msg = f"a record of this job does not keep its own contract: {parsed.reason}"
            raise TypeError(msg)
    return writes


class VectorWriter:
    """Writes vectors, few at once, and tries again; returns when all are written.

    Few, because Cassandra's vector index loses inserts silently when more of them run at once than
    it has cores (CASSANDRA-21644).

    Args:
        settings: Of the sink.
        execute: Runs writes and returns those that failed, and the first error.
        pause: Sleeps for seconds.
    """

    def __init__(
        self,
        settings: SinkSettings,
        execute: Callable[[Sequence[Write]], tuple[list[Write], Exception | None]],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._execute, self._pause = settings, execute, pause

    def write(self, writes: Sequence[Write]) -> None:
        """Write all.

        Raises:
            WriteFailedError: Some failed in every attempt.
        """
        left = list(writes)
        tries = Retrying(
            stop=stop_after_attempt(self._settings.attempts),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0), sleep=self._pause, reraise=True,
        )  # fmt: skip
        for attempt in tries:
            with attempt:
                left, error = self._execute(left)
                if left:
                    msg = (
                        f"{len(left)} vectors were not written in {self._settings.attempts} "
                        f"attempts, at last because of {error!r}; the job goes back to its last "
                        "checkpoint and tries again"
                    )
                    raise WriteFailedError(msg) from error


class VectorExecutor:
    """Runs the writes on a session."""

    def __init__(self, session: Any, settings: SinkSettings) -> None:
        from cassandra.query import BoundStatement

        self._session, self._settings, self._bound = session, settings, BoundStatement
        self._prepared = {}
        for cql in (feature_rows.SAID, feature_rows.GONE):
            statement = session.prepare(cql.format(keyspace=settings.keyspace))
            statement.is_idempotent = True
            self._prepared[cql] = statement

    def __call__(self, writes: Sequence[Write]) -> tuple[list[Write], Exception | None]:
        from cassandra.concurrent import execute_concurrent

        requests = []
        for cql, values in writes:
            bound = self._bound(self._prepared[cql])
            bound.values = values
            requests.append((bound, None))
        results = execute_concurrent(
            self._session, requests, concurrency=self._settings.concurrency,
            raise_on_first_error=False,
        )  # fmt: skip
        failed = [write for write, (ok, _) in zip(writes, results, strict=True) if not ok]
        return failed, next((result for ok, result in results if not ok), None)


class WriteFeatures(ScalarFunction):
    """`write_features(payload STRING)`: TRUE for each payload once all of the batch is written."""

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings

    def open(self, function_context: Any) -> None:
        collect_seldom()
        group = function_context.get_metric_group().add_group("stage", "sink")
        self._rows = group.counter("rows")
        self._cpu = CpuCounter(group)
        self._decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[Record])
        executor = patiently(lambda: VectorExecutor(connect(self._settings), self._settings))
        self._writer = VectorWriter(self._settings, executor)

    def is_deterministic(self) -> bool:
        return False

    def eval(self, payloads: "pd.Series") -> "pd.Series":
        import pandas as pd

        records = [one for payload in payloads for one in unpack(self._decoder, payload)]
        writes = writes_of(records)
        self._writer.write(writes)
        self._rows.inc(len(writes))
        self._cpu.charge()
        return pd.Series([True] * len(payloads))


def features_writer(settings: SinkSettings) -> Any:
    """`write_features` for SQL."""
    function = WriteFeatures(settings)
    return udf(function, result_type=DataTypes.BOOLEAN(), func_type="pandas", deterministic=False)
