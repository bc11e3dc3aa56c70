"""The job `recommend`: events and items in, lists with their reasons out.

    events ─── parse ─► admission ─► figures ─► history ─► neighbours ─► ranking ─► Cassandra
    items ──── parse ──────────────────┤  └────► popular ─────────────────┤ └─► outcomes ─┐
    weights ── parse ─────────────────────────────────────────────────────┘      learn ◄──┘
    features ─ parse ─► content ───────┘
    signals ── parse ─► admission
    what is refused ─► dead letters

Submit it with `flink run -py jobs/recommend.py --config headwater.toml --set clock=replay`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pyflink.datastream import ProcessFunction, StreamExecutionEnvironment
from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import settings as configuration
from jobs.access import cassandra_password
from jobs.border import dead_letters, parsed, written
from jobs.meaning import meaning
from jobs.settings import Cassandra, Recommend
from jobs.tables import (
    ARRIVED_MS,
    EVENTS,
    FEATURES,
    IN_ANY_ORDER,
    ITEMS,
    OUTCOMES,
    SIGNALS,
    WEIGHTS,
    kafka_dead_letters,
    kafka_records,
    kafka_source,
    kafka_sources,
    table_environment,
)
from jobs.wiring import Flow
from operators.admission import Admission
from operators.content import Content
from operators.errors import HeadwaterError
from operators.figures import Figures
from operators.flink.cassandra import SinkSettings
from operators.flink.keyed import RecordOf
from operators.flink.sink import WriteRows
from operators.history import History
from operators.neighbours import Neighbours
from operators.outcome_records import record_of, replayed_record_of
from operators.parsing import Parse, of_events, of_features, of_items, of_signals, of_weights
from operators.popular import Popular
from operators.ranking import Ranking
from operators.rows import RowSettings
from operators.taught import Taught


def build(
    tables: StreamTableEnvironment,
    settings: Recommend,
    writers: Mapping[str, ProcessFunction],
    records: Mapping[str, RecordOf] | None = None,
) -> StatementSet:
    """Wire the job between its sources, the table `DEAD_LETTERS` and who writes its channels.

    Sources are the tables `EVENTS` and `ITEMS`, `FEATURES` and `SIGNALS` where the settings name
    their topics, and `WEIGHTS` where weights are learned live.
    The tables have to exist: `main` makes them of Kafka, a test of files.

    Args:
        tables: Where they are.
        settings: Of the job.
        writers: By channel, what each payload is given to; see `Flow.sink`.
        records: The ranking's channels that go out as records; see `KeyedShell`.
    """
    whole = ("ranking",) if settings.learns_in_graph else ()
    flow = Flow(tables, settings, meaning(settings), whole)
    _parse(tables, settings, flow)
    _stages(settings, flow, records)
    statements = tables.create_statement_set()
    for source, topic in sources(settings).items():
        statements.add_insert_sql(dead_letters(source, topic, settings))
    tables.execute_sql("CREATE TEMPORARY TABLE written (ok BOOLEAN) WITH ('connector'='blackhole')")
    for channel, write in writers.items():
        done = flow.sink("sink" if channel == "rows" else f"sink_{channel}", channel, write)
        statements.add_insert_sql(f"INSERT INTO written SELECT `ok` FROM {done}")
    return statements


def sources(settings: Recommend) -> dict[str, str]:
    """Tables the job reads, with the names of their topics."""
    kafka = settings.kafka
    named = {
        EVENTS: kafka.events, ITEMS: kafka.items,
        FEATURES: kafka.item_features, SIGNALS: kafka.text_signals,
        WEIGHTS: kafka.strategy if settings.learns_by_topic else "",
    }  # fmt: skip
    return {source: topic for source, topic in named.items() if topic}


def _parse(tables: StreamTableEnvironment, settings: Recommend, flow: Flow) -> None:
    """Views `parsed_*` of all records, `accepted_*` of those that go on."""
    border, buckets, late_ms = settings.border, settings.buckets, settings.late_ms
    parsers: dict[str, tuple[str, Parse]] = {
        EVENTS: (
            "admission", partial(of_events, border=border, buckets=buckets, late_ms=late_ms)
        ),
        ITEMS: ("figures", partial(of_items, border=border, buckets=buckets)),
        FEATURES: ("content", partial(of_features, border=border, buckets=buckets)),
        SIGNALS: ("admission", partial(of_signals, border=border, buckets=buckets)),
    }  # fmt: skip
    if settings.learns_by_topic:
        _parse_weights(tables, settings, flow)
    for source, (channel, parse) in parsers.items():
        if source not in sources(settings):
            continue
        parsed(tables, settings, flow, source, channel, parse)
        flow.feed(f"accepted_{source}", channel)


def _parse_weights(tables: StreamTableEnvironment, settings: Recommend, flow: Flow) -> None:
    """Weights go to every bucket of the ranking."""
    parsed(tables, settings, flow, WEIGHTS, "ranking", of_weights)
    buckets = ", ".join(map(str, range(settings.buckets)))
    tables.execute_sql(
        f"CREATE TEMPORARY VIEW told_{WEIGHTS} AS SELECT `channel`, t.`target` AS `bucket`, "
        f"`payload`, `ts` FROM (SELECT *, ARRAY[{buckets}] AS `targets` FROM accepted_{WEIGHTS}) "
        "CROSS JOIN UNNEST(`targets`) AS t(`target`)"
    )
    flow.feed(f"told_{WEIGHTS}", "ranking")


def _stages(settings: Recommend, flow: Flow, records: Mapping[str, RecordOf] | None) -> None:
    batch_ms = settings.batch_ms
    popular_ms = max(batch_ms, settings.popular_ms)
    flow.stage(
        "admission", partial(Admission, settings.admission, settings.strengths),
        sends=("figures", "history", "ranking"), window_ms=batch_ms,
    )  # fmt: skip
    if settings.kafka.item_features:
        flow.stage(
            "content", partial(Content, settings.content), sends=("figures",), window_ms=batch_ms
        )
    flow.stage(
        "figures", partial(Figures, settings.figures),
        sends=("history", "neighbours", "popular", "ranking", "rows"), window_ms=batch_ms,
    )  # fmt: skip
    flow.stage(
        "popular", partial(Popular, settings.popular), sends=("ranking",), window_ms=popular_ms
    )
    flow.stage(
        "history", partial(History, settings.history, settings.buckets),
        sends=("neighbours",), window_ms=batch_ms,
    )  # fmt: skip
    flow.stage(
        "neighbours", partial(Neighbours, settings.neighbours),
        sends=("ranking", "rows"), window_ms=batch_ms,
    )  # fmt: skip
    flow.stage(
        "ranking",
        partial(
            Taught if settings.learns_in_graph else Ranking,
            settings.ranking, settings.weights, settings.learning, settings.cassandra.variant,
            settings.shadows,
        ),
        sends=("rows", "outcomes", "strategy"), window_ms=batch_ms, records=records,
    )  # fmt: skip


def _password(cassandra: Cassandra) -> str | None:
    """The password of the environment, unless a file on the workers holds it."""
    return cassandra_password(cassandra) if cassandra.user and not cassandra.password_file else None


def sink_settings(settings: Recommend) -> SinkSettings:
    """Settings of the rows' writer."""
    cassandra = settings.cassandra
    return SinkSettings(
        hosts=cassandra.hosts, port=cassandra.port, datacenter=cassandra.datacenter,
        keyspace=cassandra.keyspace, user=cassandra.user,
        password=_password(cassandra), password_file=cassandra.password_file,
        tls_ca=cassandra.tls_ca,
        consistency=cassandra.consistency, concurrency=cassandra.concurrency,
        batch_bytes=cassandra.batch_bytes, timeout_s=cassandra.timeout_s,
        attempts=cassandra.attempts,
        rows=RowSettings(
            surface=cassandra.surface, model=settings.weights.model, variant=cassandra.variant,
            ttl_s=cassandra.ttl_s,
        ),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Read the settings, print them, submit the job."""
    parser = argparse.ArgumentParser(description="Headwater's recommend job")
    parser.add_argument("--config", type=Path, help="settings file, table [recommend]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args(argv)
    try:
        settings = configuration.load(Recommend, arguments.config, arguments.set)
    except HeadwaterError as error:
        sys.exit(str(error))
    sys.stdout.write(f"effective settings of recommend:\n{configuration.effective(settings)}\n")
    tables = table_environment(StreamExecutionEnvironment.get_execution_environment(), settings)
    try:
        kafka_sources(tables, settings)
        for source, topic in sources(settings).items():
            if source in (FEATURES, SIGNALS):
                kafka_source(tables, settings, source, topic, ARRIVED_MS, IN_ANY_ORDER)
        if settings.learns_by_topic:
            strategy = settings.kafka.strategy
            kafka_source(tables, settings, WEIGHTS, strategy, "0", IN_ANY_ORDER, "earliest")
        kafka_dead_letters(tables, settings)
        kafka_records(tables, settings.kafka, OUTCOMES, settings.kafka.outcomes)
        write_rows = WriteRows(sink_settings(settings))
    except HeadwaterError as error:
        sys.exit(str(error))
    told = replayed_record_of if settings.clock == "replay" else record_of
    statements = build(tables, settings, {"rows": write_rows}, {"outcomes": told})
    statements.add_insert_sql(written("ranking", "outcomes", OUTCOMES))
    result = statements.execute()
    client = result.get_job_client()
    sys.stdout.write(f"job {client.get_job_id() if client else 'submitted'}\n")


if __name__ == "__main__":
    main()
