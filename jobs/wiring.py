"""Sources, sinks, micro-batches: the parts every job is wired from.

Micro-batches are made in the JVM: a window over each bucket, its messages joined to one text, so
that Python is entered once a bucket and window. `live` windows go by processing time: the last
event of a quiet night is served at once, and no idle partition holds anything back. `replay`
windows go by event time, and reading ends where the topics end now, which closes all of them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from pyflink.common import Types
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.datastream.data_stream import KeyedStream
from pyflink.datastream.functions import ProcessFunction
from pyflink.java_gateway import get_gateway
from pyflink.table import Schema, StreamTableEnvironment, Table

from jobs.access import java_client
from jobs.planning import plan_only
from jobs.settings import Job, Kafka
from operators.flink.keyed import OUTPUT_TYPE, KeyedShell, RecordOf
from operators.meaning import Meaning
from operators.stage import Stage

EVENTS, ITEMS, DEAD_LETTERS = "source_events", "source_items", "sink_dead_letters"
FEATURES, SIGNALS = "source_item_features", "source_text_signals"
OUTCOMES, WEIGHTS = "sink_outcomes", "source_weights"
"""Names of the tables a job reads and writes; a test may put others in their place."""

_RECORD = """
  `key` BYTES,
  `value` BYTES,
  `partition` INT METADATA VIRTUAL,
  `offset` BIGINT METADATA VIRTUAL,
  `arrived` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL"""

_TIME_MS = "TRY_CAST(JSON_VALUE(CAST(`value` AS STRING), '$.event_time') AS BIGINT)"

ARRIVED_MS = "(UNIX_TIMESTAMP(CAST(`arrived` AS STRING)) * 1000 + 999)"
"""When the broker took a record, to the end of the second: SQL offers no finer one as a number."""

DEAD_LETTER_COLUMNS = """
  `raw` BYTES, `topic` STRING, `partition` INT, `offset` BIGINT, `reason` STRING,
  `seen_at` BIGINT"""


BATCH_TYPE = Types.ROW([Types.INT(), Types.STRING()])
"""Bucket and payload."""


def table_environment(env: StreamExecutionEnvironment, settings: Job) -> StreamTableEnvironment:
    """The Table API on an environment, with the job's name and parallelism.

    An event crosses some ten exchanges; Flink's default of holding a buffer for up to 100 ms at
    each of them would take longer than all the work.
    """
    plan_only()
    env.set_buffer_timeout(settings.buffer_timeout_ms)
    if settings.parallelism:
        env.set_parallelism(settings.parallelism)
    tables = StreamTableEnvironment.create(env)
    tables.get_config().set("table.local-time-zone", "UTC")
    # A micro-batch is small: to gather it before the exchange and once more behind it costs more.
    tables.get_config().set("table.optimizer.agg-phase-strategy", "ONE_PHASE")
    tables.get_config().set("pipeline.name", f"headwater-{type(settings).__name__.lower()}")
    return tables


def interval(span_ms: int) -> str:
    """A span of milliseconds in SQL, up to 999 days.

    The form is the one Flink takes in a watermark too: its first field has three digits at most.

    >>> interval(90_061_001)
    "INTERVAL '1 01:01:01.001' DAY(3) TO SECOND(3)"
    """
    seconds, ms = divmod(span_ms, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"INTERVAL '{days} {hour:02}:{minute:02}:{second:02}.{ms:03}' DAY(3) TO SECOND(3)"


def time_column(settings: Job, undated: str) -> str:
    """The column `ts` that windows go by.

    In a replay it is the event time, read in the JVM inside the source so that each partition has
    a watermark of its own. Only the watermark needs it: the record itself is read and checked by
    the parser. A time ahead of the clock would close the windows of all other events, so it is
    taken for `undated`, as is a record without a time.
    """
    if settings.clock == "live":
        return "`ts` AS PROCTIME()"
    latest = f"UNIX_TIMESTAMP() * 1000 + {settings.border.future_max_ms}"
    legal = f"CASE WHEN {_TIME_MS} BETWEEN 0 AND {latest} THEN {_TIME_MS} ELSE {undated} END"
    return f"`ts` AS TO_TIMESTAMP_LTZ({legal}, 3)"


def kafka_sources(tables: StreamTableEnvironment, settings: Job) -> None:
    """Create the tables of events and items.

    A catalogue comes in any order, so the items of a replay all count as on time: their watermark
    stays a century behind until the topic's end. Each takes effect at its own time nevertheless,
    for no window of the stages closes before the end of the items is reached.
    """
    behind = interval(settings.disorder_ms + 1)
    kafka_source(tables, settings, EVENTS, settings.kafka.events, "0", behind)
    kafka_source(tables, settings, ITEMS, settings.kafka.items, ARRIVED_MS, IN_ANY_ORDER)


IN_ANY_ORDER = "INTERVAL '99' YEAR"
"""How far the watermark of a topic stays behind whose records all count as on time."""


def kafka_source(
    tables: StreamTableEnvironment,
    settings: Job,
    table: str,
    topic: str,
    undated: str,
    behind: str,
    start: str | None = None,
) -> None:
    """Create the table of one topic.

    Args:
        tables: To create it in.
        settings: Of the job.
        table: Its name.
        topic: To be read.
        undated: SQL of the time of a record that has none.
        behind: SQL of how far the watermark of a replay stays behind.
        start: `earliest` or `latest`; None for that of the settings.
    """
    columns = f"{_RECORD},\n  {time_column(settings, undated)}"
    if settings.clock == "replay":
        columns += f",\n  WATERMARK FOR `ts` AS `ts` - {behind}"
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE {table} ({columns}) WITH ({_options(settings, topic, start)})"
    )


def _options(settings: Job, topic: str, start: str | None) -> str:
    kafka = settings.kafka
    options = {
        "connector": "kafka",
        "topic": topic,
        **_client(kafka),
        "properties.group.id": kafka.group,
        "properties.max.partition.fetch.bytes": "16777216",
        **(GATHERED if topic == kafka.events else {}),
        "scan.startup.mode": f"{start or kafka.start}-offset",
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
    }
    if settings.clock == "replay":
        options["scan.bounded.mode"] = "latest-offset"
    return _sql_options(options)


GATHERED = {"properties.fetch.min.bytes": "65536", "properties.fetch.max.wait.ms": "20"}
"""How a busy topic is fetched: each answer of a broker takes it as long as some hundred records do.
An event waits 20 ms at most; a topic that is silent most of the time keeps Kafka's half second."""


def _client(kafka: Kafka) -> dict[str, str]:
    return {f"properties.{name}": value for name, value in java_client(kafka).items()}


def _sql_options(options: Mapping[str, str]) -> str:
    return ", ".join(
        "'{}' = '{}'".format(*(text.replace("'", "''") for text in option))
        for option in options.items()
    )


def kafka_dead_letters(tables: StreamTableEnvironment, settings: Job) -> None:
    """Create the table of the dead letters; the JSON format writes BYTES as base64."""
    options = {
        "connector": "kafka",
        "topic": settings.kafka.dead_letters,
        **_client(settings.kafka),
        "properties.max.request.size": "16777216",
        "properties.compression.type": "lz4",
        "sink.delivery-guarantee": "at-least-once",
        "format": "json",
    }
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE {DEAD_LETTERS} ({DEAD_LETTER_COLUMNS}) "
        f"WITH ({_sql_options(options)})"
    )


def kafka_records(tables: StreamTableEnvironment, kafka: Kafka, name: str, topic: str) -> None:
    """Create a table (key, value) of text that writes records to a topic; no value deletes."""
    options = {
        "connector": "kafka",
        "topic": topic,
        **_client(kafka),
        "properties.compression.type": "lz4",
        "properties.linger.ms": "250",
        "sink.delivery-guarantee": "at-least-once",
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
    }
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE {name} (`key` STRING, `value` STRING) "
        f"WITH ({_sql_options(options)})"
    )


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
        batches = self._batches(name, window_ms, self._offset_ms(depth, self._settings.batch_ms))
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

    def _batches(self, name: str, window_ms: int, offset_ms: int) -> Table:
        source = f"in_{name}"
        self._tables.create_temporary_view(source, self._tables.sql_query(self.channel(name)))
        time = "" if self._settings.clock == "live" else ", window_time"
        span = ", ".join(interval(ms) for ms in (window_ms, offset_ms % window_ms))
        return self._tables.sql_query(
            f"SELECT `bucket`, ROW(`bucket`, `payload`) AS `batch`{time} FROM ("
            f"SELECT `bucket`, ARRAY_JOIN(ARRAY_AGG(`payload`), ',') AS `payload`{time} "
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
