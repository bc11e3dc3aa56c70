"""The job `understand`: what items say and what people write, in vectors and words.

    items ─── read ─┐                      ┌─► headwater.item-features, Cassandra item_features
                    ├─► catalogue (tenant) ┤
    events ── read ─┘                      └─► headwater.text-signals
    what a model cannot read ─► dead letters

`read` are pandas functions in a process of their own, where the model is (`jobs.read_functions`);
`catalogue` keeps the vectors, fits the map, finds neighbours (`operators.catalogue`).

A record that cannot be parsed is `recommend`'s dead letter and is only counted here; so is, in a
replay, a late one. With another encoder the job begins without a savepoint: it reads the compacted
catalogue from its first record, and the marker in `headwater.item-features` says when it is done.

Submit it with `flink run -py jobs/understand.py --config headwater.toml`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import reading
from jobs import settings as configuration
from jobs.border import RAW, written
from jobs.meaning import meaning
from jobs.read_functions import events_reader, items_reader
from jobs.recommend import sink_settings
from jobs.settings import Recommend
from jobs.tables import (
    ARRIVED_MS,
    DEAD_LETTERS,
    EVENTS,
    ITEMS,
    kafka_dead_letters,
    kafka_records,
    kafka_sources,
    table_environment,
)
from jobs.understand_settings import Understand
from jobs.wiring import Flow
from operators.catalogue import Catalogue
from operators.errors import HeadwaterError
from operators.flink.clock import wall_clock_ms
from operators.flink.features import features_writer
from operators.readings import record_of
from udfs.errors import UnderstandingError

FEATURES, SIGNALS = "sink_features", "sink_signals"
"""Names of the tables that take records, (key, value)."""

HAS_TEXT = "CAST(`value` AS STRING) LIKE '%\"text\"%'"
"""Most events carry none; those need not go to Python."""


def build(tables: StreamTableEnvironment, settings: Understand) -> StatementSet:
    """Wire the job between the tables of its sources and sinks.

    The tables `EVENTS`, `ITEMS`, `DEAD_LETTERS`, `FEATURES`, `SIGNALS` and the functions
    `read_items`, `read_events` and `write_features` have to exist: `main` makes them of Kafka,
    models and Cassandra, a test of files and a model of its own.
    """
    config = tables.get_config()
    config.set("python.fn-execution.bundle.size", str(settings.bundle_records))
    config.set("python.fn-execution.arrow.batch.size", str(settings.bundle_records))
    config.set("python.fn-execution.bundle.time", str(settings.bundle_ms))
    flow = Flow(tables, settings, meaning(settings))
    items = f"read_items(`key`, `value`, `partition`, `offset`, {ARRIVED_MS})"
    _read(tables, settings, flow, ITEMS, items, "TRUE")
    _read(tables, settings, flow, EVENTS, "read_events(`value`)", HAS_TEXT)
    own = reading.use_of_own_topics(settings)
    flow.stage(
        "catalogue", partial(Catalogue, settings.catalogue, settings.clusters, own),
        sends=("features", "vectors", "signals"), window_ms=settings.batch_ms,
        records={"features": record_of, "signals": record_of},
    )  # fmt: skip
    statements = tables.create_statement_set()
    for source, topic in ((EVENTS, settings.kafka.events), (ITEMS, settings.kafka.items)):
        statements.add_insert_sql(
            f"INSERT INTO {DEAD_LETTERS} SELECT {RAW[settings.kafka.redact]}, '{topic}', "
            "`partition`, `offset`, "
            f"`reason`, `seen_at` FROM read_{source} WHERE `reason` IS NOT NULL"
        )
    for channel, sink in (("features", FEATURES), ("signals", SIGNALS)):
        statements.add_insert_sql(written("catalogue", channel, sink))
    tables.execute_sql("CREATE TEMPORARY TABLE written (ok BOOLEAN) WITH ('connector'='blackhole')")
    statements.add_insert_sql(
        f"INSERT INTO written SELECT write_features(`payload`) FROM ({flow.channel('vectors')})"
    )
    return statements


def _read(
    tables: StreamTableEnvironment,
    settings: Understand,
    flow: Flow,
    source: str,
    call: str,
    condition: str,
) -> None:
    """View `read_*` of the records of a source, and their messages into the stage.

    The row that ends a partition goes to every bucket, behind all rows before it: on the same way,
    or it would overtake them.
    """
    time = "" if settings.clock == "live" else ", `ts`"
    flow.shared(
        f"read_{source}",
        "SELECT `value`, `partition`, `offset`, `seen_at`, said.reason AS `reason`, "
        "said.bucket AS `bucket`, said.targets AS `targets`, said.payload AS `payload`, "
        f"said.shared AS `shared`{time} FROM (SELECT `value`, `partition`, `offset`, "
        f"{ARRIVED_MS} AS `seen_at`{time}, {call} AS said FROM {source} WHERE {condition})",
    )
    tables.execute_sql(
        f"CREATE TEMPORARY VIEW said_{source} AS SELECT 'catalogue' AS `channel`, "
        "t.`target` AS `bucket`, "
        "CASE WHEN t.`target` = `bucket` THEN `payload` ELSE `shared` END AS `payload`, `ts` "
        f"FROM read_{source} CROSS JOIN UNNEST(`targets`) AS t(`target`)"
    )
    flow.feed(f"said_{source}", "catalogue")


def _connect(tables: StreamTableEnvironment, settings: Understand, ends: Mapping[int, int]) -> None:
    """Make the tables and functions of Kafka, models and Cassandra."""
    kafka = settings.kafka
    kafka_sources(tables, settings)
    kafka_dead_letters(tables, settings)
    kafka_records(tables, kafka, FEATURES, kafka.item_features)
    kafka_records(tables, kafka, SIGNALS, kafka.text_signals)
    make = partial(reading.reader, settings, reading.travelling_client(kafka))
    common = ("understand", make, settings.border, settings.buckets, wall_clock_ms)
    tables.create_temporary_function("read_items", items_reader(*common, ends))
    tables.create_temporary_function("read_events", events_reader(*common))
    sink = sink_settings(Recommend(cassandra=settings.cassandra))  # the same way to connect
    tables.create_temporary_function("write_features", features_writer(sink))


def main(argv: Sequence[str] | None = None) -> None:
    """Read the settings, print them, submit the job."""
    parser = argparse.ArgumentParser(description="Headwater's understand job")
    parser.add_argument("--config", type=Path, help="settings file, table [understand]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args(argv)
    try:
        settings = configuration.load(Understand, arguments.config, arguments.set)
        reading.check_model(settings)
        ends = reading.ends_of(settings.kafka, settings.kafka.items)
    except (HeadwaterError, UnderstandingError) as error:
        sys.exit(str(error))
    sys.stdout.write(f"effective settings of understand:\n{configuration.effective(settings)}\n")
    sys.stdout.write(f"own topics: {reading.use_of_own_topics(settings)}\n")
    tables = table_environment(StreamExecutionEnvironment.get_execution_environment(), settings)
    try:
        _connect(tables, settings, ends)
    except HeadwaterError as error:
        sys.exit(str(error))
    result = build(tables, settings).execute()
    client = result.get_job_client()
    sys.stdout.write(f"job {client.get_job_id() if client else 'submitted'}\n")


if __name__ == "__main__":
    main()
