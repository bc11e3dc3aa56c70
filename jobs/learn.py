"""The job `learn`: what outcomes say about the weights in, weights out once a minute.

    outcomes ─ parse ─► learning ─► headwater.strategy ─► recommend
    what is refused ─► dead letters

It runs beside a live `recommend`; a replay of that learns in its own graph.
Submit it with `flink run -py jobs/learn.py --config headwater.toml`.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import settings as configuration
from jobs.border import dead_letters, parsed, written
from jobs.meaning import meaning
from jobs.settings import Learn, SettingsError
from jobs.tables import kafka_dead_letters, kafka_records, kafka_source, table_environment
from jobs.wiring import Flow
from operators.errors import HeadwaterError
from operators.learning import Learning
from operators.parsing import of_outcomes
from operators.strategy import record_of

OUTCOMES, STRATEGY = "source_outcomes", "sink_strategy"
"""Names of the tables the job reads and writes."""


def build(tables: StreamTableEnvironment, settings: Learn) -> StatementSet:
    """Wire the job between the tables `OUTCOMES`, `STRATEGY` and that of the dead letters."""
    flow = Flow(tables, settings, meaning(settings))
    parse = partial(of_outcomes, buckets=settings.buckets)
    parsed(tables, settings, flow, OUTCOMES, "learning", parse)
    flow.feed(f"accepted_{OUTCOMES}", "learning")
    flow.stage(
        "learning", partial(Learning, settings.learning, settings.weights), sends=("strategy",),
        window_ms=settings.batch_ms, settle_ms=settings.learning.period_ms,
        records={"strategy": record_of},
    )  # fmt: skip
    statements = tables.create_statement_set()
    statements.add_insert_sql(dead_letters(OUTCOMES, settings.kafka.outcomes, settings))
    statements.add_insert_sql(written("learning", "strategy", STRATEGY))
    return statements


def checked(settings: Learn) -> Learn:
    """The settings, if the job can run with them.

    Raises:
        SettingsError: It cannot.
    """
    if settings.clock != "live":
        msg = (
            f"settings [learn]: clock is {settings.clock}; this job is live only, a replay of "
            "`recommend` learns in its own graph"
        )
        raise SettingsError(msg)
    if not settings.learning.enabled:
        msg = "settings [learn]: learning.enabled is false; leave the job out instead"
        raise SettingsError(msg)
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    """Read the settings, print them, submit the job."""
    parser = argparse.ArgumentParser(description="Headwater's learn job")
    parser.add_argument("--config", type=Path, help="settings file, table [learn]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args(argv)
    try:
        settings = checked(configuration.load(Learn, arguments.config, arguments.set))
        sys.stdout.write(f"effective settings of learn:\n{configuration.effective(settings)}\n")
        env = StreamExecutionEnvironment.get_execution_environment()
        tables, kafka = table_environment(env, settings), settings.kafka
        kafka_source(tables, settings, OUTCOMES, kafka.outcomes, "0", "INTERVAL '0' SECOND")
        kafka_records(tables, kafka, STRATEGY, kafka.strategy)
        kafka_dead_letters(tables, settings)
    except HeadwaterError as error:
        sys.exit(str(error))
    client = build(tables, settings).execute().get_job_client()
    sys.stdout.write(f"job {client.get_job_id() if client else 'submitted'}\n")


if __name__ == "__main__":
    main()
