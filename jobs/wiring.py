"""Micro-batches, stages and sinks: the parts every job is wired from.

Micro-batches are made in the JVM: a window over each bucket, its messages joined to one text, so
that Python is entered once a bucket and window. `live` windows go by processing time: the last
event of a quiet night is served at once, and no idle partition holds anything back. `replay`
windows go by event time.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from pyflink.common import Types
from pyflink.datastream import DataStream
from pyflink.datastream.data_stream import KeyedStream
from pyflink.datastream.functions import ProcessFunction
from pyflink.java_gateway import get_gateway
from pyflink.table import Schema, StreamTableEnvironment, Table

from jobs.settings import Job
from jobs.tables import interval
from operators.flink.keyed import OUTPUT_TYPE, KeyedShell, RecordOf
from operators.flink.parsing import PARSED_TYPE, ParseRecords
from operators.meaning import Meaning
from operators.parsing import Parse
from operators.stage import Stage

BATCH_TYPE = Types.ROW([Types.INT(), Types.STRING()])
"""Bucket and payload."""

STAGES_IN_A_ROW = 5
"""On the longest way through a job, so that their windows close one after the other within the
length of one: what a stage answers finds the next about to close, not just closed, and stages that
share an interpreter do not all want it at once."""


class _Output(NamedTuple):
    """A view of messages, the channels in it, and by how many stages they came at the most."""

    view: str
    channels: frozenset[str]
    depth: int


class Flow:
    """The stages of a job, and who feeds whom.

    Every stage's output is one view with a column `channel`; `channel` gathers what all stages so
    far have sent to one name.

    Args:
        tables: Where the views go.
        settings: Of the job.
        meaning: Goes into the names of the states.
        whole: Stages that have all their state in one bucket, under names of its own.
    """

    def __init__(
        self,
        tables: StreamTableEnvironment,
        settings: Job,
        meaning: Meaning,
        whole: Collection[str] = (),
    ) -> None:
        self._tables = tables
        self._settings = settings
        self._meaning = meaning
        self._whole = whole
        self._outputs: list[_Output] = []

    def feed(self, view: str, channel: str) -> None:
        """Add a view (channel, bucket, payload, ts) that no stage made: a parser's."""
        self._outputs.append(_Output(view, frozenset({channel}), 0))

    def channel(self, name: str) -> str:
        """SQL of the messages sent to a channel."""
        return " UNION ALL ".join(
            f"SELECT `bucket`, `payload`, `ts` FROM {output.view} WHERE `channel` = '{name}'"
            for output in self._outputs
            if name in output.channels
        )

    def stage(
        self,
        name: str,
        make: Callable[[], Stage[Any]],
        sends: Iterable[str],
        window_ms: int,
        settle_ms: int | None = None,
        records: Mapping[str, RecordOf] | None = None,
    ) -> None:
        """Add a stage: micro-batches of its channel, through the keyed shell.

        Where it makes records, there is a view `records_<name>` besides, with the same rows, for
        tasks of their own: to take apart lines of which Flink copies all for each of them would
        take the stage's thread, and the one core that all stages share, a third of the time that
        the ranking needs in Python.

        Args:
            name: Of the stage, and of its channel.
            make: The stage.
            sends: Channels it sends to.
            window_ms: Length of the micro-batches.
            settle_ms: How often it is asked for what it holds back; None for that of the settings.
            records: See `KeyedShell`.
        """
        depth = 1 + max((one.depth for one in self._outputs if name in one.channels), default=0)
        offset_ms = self._offset_ms(depth, self._settings.batch_ms)
        batches = self._batches(name, self.channel(name), window_ms, offset_ms)
        settle_ms = settle_ms or self._settings.settle_ms
        shell = KeyedShell(
            make,
            buckets=self._settings.buckets,
            meaning=self._meaning_of(name),
            cache_size=self._settings.cache_entries,
            journal_batches=self._settings.journal_batches,
            settle_ms=settle_ms,
            settle_offset_ms=self._offset_ms(depth, settle_ms // self._settings.buckets),
            event_time=self._settings.clock == "replay",
            hold_max_ms=self._settings.hold_max_ms,
            whole=self._whole,
            records=records,
        )
        stream = self._keyed(batches).process(shell, output_type=OUTPUT_TYPE).name(name).uid(name)
        view = f"out_{name}"
        self._tables.create_temporary_view(view, self._with_time(stream))
        if records:
            # Over an exchange that is not forward, tasks are not chained.
            apart = self._with_time(stream.rescale())
            self._tables.create_temporary_view(f"records_{name}", apart)
        self._outputs.append(_Output(view, frozenset(sends), depth))

    def _meaning_of(self, name: str) -> Meaning:
        """With a digest of its own where all of a stage is in one bucket."""
        if name not in self._whole:
            return self._meaning
        return Meaning(f"{self._meaning.digest}-whole", self._meaning.settings)

    def _offset_ms(self, depth: int, span_ms: int) -> int:
        """How long after the first stage one so deep in the job does what each does in a span.

        By processing time alone: by event time all windows close with one watermark.
        """
        if self._settings.clock == "replay":
            return 0
        return (depth - 1) * span_ms // STAGES_IN_A_ROW

    def parser(self, source: str, frames: str, parse: Parse, late: str = "") -> None:
        """Add a view `parsed_*` of what a parser makes of a source, see `PARSED_TYPE`.

        Args:
            source: Name of the table.
            frames: SQL of its records (bucket, payload, ts), see `operators.framing`.
            parse: Makes a message of a record.
            late: SQL of records that windows are closed for: each is a micro-batch.
        """
        name, window_ms = f"parse_{source.removeprefix('source_')}", self._settings.batch_ms
        batches = self._batches(name, frames, window_ms, self._offset_ms(0, window_ms), "")
        if late:
            each = f"SELECT `bucket`, ROW(`bucket`, `payload`) AS `batch`, `ts` FROM ({late})"
            batches = batches.union_all(self._tables.sql_query(each))
        stream = self._keyed(batches).process(ParseRecords(parse), output_type=PARSED_TYPE)
        table = self._with_time(stream.name(name).uid(name))
        self._tables.create_temporary_view(f"parsed_{source}", table)

    def _batches(
        self, name: str, messages: str, window_ms: int, offset_ms: int, between: str = ","
    ) -> Table:
        """Micro-batches of SQL of messages (bucket, payload, ts)."""
        source = f"in_{name}"
        self._tables.create_temporary_view(source, self._tables.sql_query(messages))
        time = "" if self._settings.clock == "live" else ", window_time"
        span = ", ".join(interval(ms) for ms in (window_ms, offset_ms % window_ms))
        return self._tables.sql_query(
            f"SELECT `bucket`, ROW(`bucket`, `payload`) AS `batch`{time} FROM ("
            f"SELECT `bucket`, ARRAY_JOIN(ARRAY_AGG(`payload`), '{between}') AS `payload`{time} "
            f"FROM TABLE(TUMBLE(TABLE {source}, DESCRIPTOR(`ts`), {span})) "
            f"GROUP BY `bucket`, window_start, window_end{time})"
        )

    def _keyed(self, batches: Table) -> KeyedStream:
        """Batches by bucket: rows (bucket, batch), as `DataStream.key_by` would make them.

        It makes them in an operator of Python, so that each batch would cross from the JVM to
        Python and back only to be told its own bucket.
        """
        fields = [Types.INT(), BATCH_TYPE]
        if self._settings.clock == "replay":
            fields.append(Types.INSTANT())
        stream = self._tables.to_append_stream(batches, Types.ROW(fields))
        by_first = get_gateway().jvm.KeyByKeySelector()
        key_type = Types.ROW([Types.INT()]).get_java_type_info()
        keyed = stream._j_data_stream.keyBy(by_first, key_type)
        return KeyedStream(keyed, BATCH_TYPE, stream)

    def sink(self, name: str, channel: str, write: ProcessFunction) -> str:
        """Send what comes through a channel to a function that writes it.

        Args:
            name: Of the operator.
            channel: What it gets, rows (payload).
            write: Has written a row when it returns, and gives nothing.

        Returns:
            Name of a view, which has to be inserted into a sink of Flink's and stays empty.
        """
        payloads = self._tables.sql_query(f"SELECT `payload` FROM ({self.channel(channel)})")
        stream = self._tables.to_append_stream(payloads, Types.ROW([Types.STRING()]))
        done = stream.process(write, output_type=Types.ROW_NAMED(["ok"], [Types.BOOLEAN()]))
        done = done.name(name).uid(name)
        if sum(channel in output.channels for output in self._outputs) == 1:
            # Chained to the one stage it hears, it would be called while that is in Python, in the
            # same thread: a second embedded interpreter there waits for the first without end.
            done = done.start_new_chain()
        view = f"written_{name}"
        table = self._tables.from_data_stream(done)
        self._tables.create_temporary_view(view, table)
        return view

    def shared(self, view: str, query: str) -> None:
        """Make a query a view that is computed once, whoever reads it.

        The planner does not look through a DataStream: without one, each reader of a view would
        get a copy of all before it, down to a second consumer of the topic.
        """
        stream = self._tables.to_data_stream(self._tables.sql_query(query))
        self._tables.create_temporary_view(view, self._with_time(stream, has_time=True))

    def _with_time(self, stream: DataStream, *, has_time: bool = False) -> Table:
        """The stream as a table with `ts`; in a replay a query's own `ts` goes on as it is."""
        schema = Schema.new_builder()
        if self._settings.clock == "live":
            schema = schema.column_by_expression("ts", "PROCTIME()")
        else:
            if not has_time:
                schema = schema.column_by_metadata("ts", "TIMESTAMP_LTZ(3)", "rowtime")
            schema = schema.watermark("ts", "SOURCE_WATERMARK()")
        return self._tables.from_data_stream(stream, schema.build())
