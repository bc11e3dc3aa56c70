"""The tables that a job reads and writes, in Kafka; the environment that they are in.

A live job reads on and on. A replay goes by event time, and its reading ends where the topics end
now, which closes all its windows.
"""

from collections.abc import Mapping

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from jobs.access import java_client
from jobs.planning import plan_only
from jobs.settings import Job, Kafka

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
