"""What every job of stages does at its ends: parsers, dead letters, records."""

from pyflink.table import StreamTableEnvironment

from jobs.settings import Job
from jobs.tables import ARRIVED_MS, DEAD_LETTERS
from jobs.wiring import Flow

LATE = "CURRENT_WATERMARK(`ts`) IS NOT NULL AND `ts` <= CURRENT_WATERMARK(`ts`)"
"""In a replay: whether windows up to the record's time may have been closed already."""

RAW = {
    "keep": "`value`",
    "hash": "CAST(SHA256(CAST(`value` AS STRING)) AS BYTES)",
    "drop": "CAST(NULL AS BYTES)",
}
QUOTED = "'''[^'']*'''"
"""What a reason quotes of a record."""


def parsed(
    tables: StreamTableEnvironment, settings: Job, flow: Flow, source: str, channel: str, call: str
) -> None:
    """Views `parsed_*` of all records of a source, `accepted_*` of those that go on.

    Args:
        tables: Where the views go.
        settings: Of the job.
        flow: Of the job.
        source: Table of the records.
        channel: Of the accepted ones.
        call: SQL of the parser, a row of reason, bucket and payload.
    """
    time = "" if settings.clock == "live" else ", `ts`"
    flow.shared(
        f"parsed_{source}",
        "SELECT `value`, `partition`, `offset`, `seen_at`, parsed.reason AS `reason`, "
        f"parsed.bucket AS `bucket`, parsed.payload AS `payload`{time} FROM (SELECT `value`, "
        f"`partition`, `offset`, {ARRIVED_MS} AS `seen_at`{time}, {call} AS parsed "
        f"FROM {source})",
    )
    late = "" if settings.clock == "live" else f" AND NOT ({LATE})"
    tables.execute_sql(
        f"CREATE TEMPORARY VIEW accepted_{source} AS SELECT '{channel}' AS `channel`, "
        f"`bucket`, `payload`, `ts` FROM parsed_{source} "
        f"WHERE `reason` IS NULL AND `payload` <> ''{late}"
    )


def dead_letters(source: str, topic: str, settings: Job) -> str:
    """SQL that writes what a parser refused; in a replay, what came too late as well."""
    late = "the event is late: its time lies before the watermark, windows up to it are closed"
    reason, refused = "`reason`", "`reason` IS NOT NULL"
    if settings.clock == "replay":
        reason = f"COALESCE(`reason`, '{late}')"
        refused = f"{refused} OR ({LATE})"
    if settings.kafka.redact != "keep":
        reason = f"REGEXP_REPLACE({reason}, {QUOTED}, 'a value')"
    return (
        f"INSERT INTO {DEAD_LETTERS} SELECT {RAW[settings.kafka.redact]}, '{topic}', `partition`, "
        f"`offset`, {reason}, `seen_at` FROM parsed_{source} WHERE {refused}"
    )


def written(stage: str, channel: str, sink: str) -> str:
    """SQL that writes what a stage makes records of, to a sink; see `Flow.stage`.

    An empty value is NULL in the sink: it deletes the key.
    """
    tab = "POSITION(CHR(9) IN r.`line`)"
    return (
        f"INSERT INTO {sink} SELECT JSON_UNQUOTE(SUBSTRING(r.`line` FROM 1 FOR {tab} - 1)), "
        f"NULLIF(SUBSTRING(r.`line` FROM {tab} + 1), '') "
        f"FROM (SELECT SPLIT(`payload`, CHR(10)) AS `lines` FROM records_{stage} "
        f"WHERE `channel` = '{channel}') CROSS JOIN UNNEST(`lines`) AS r(`line`)"
    )
