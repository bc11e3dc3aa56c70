"""What every job of stages does at its ends: parsers, dead letters, records."""

from pyflink.table import StreamTableEnvironment

from jobs.settings import Job
from jobs.tables import ARRIVED_MS, DEAD_LETTERS
from jobs.wiring import Flow
from operators.framing import CHARSET, NONE
from operators.parsing import Parse

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
    tables: StreamTableEnvironment, settings: Job, flow: Flow, source: str, channel: str,
    parse: Parse,
) -> None:  # fmt: skip
    """Views `parsed_*` of what became of the records of a source, `accepted_*` of the messages.

    Args:
        tables: Where the views go.
        settings: Of the job.
        flow: Of the job.
        source: Table of the records.
        channel: Of the messages.
        parse: Makes a message of a record.
    """
    if settings.clock == "live":
        flow.parser(source, frames(source, "0"), parse)
    else:
        columns = "`key`, `value`, `partition`, `offset`, `arrived`, `ts`"
        flow.shared(f"read_{source}", f"SELECT {columns} FROM {source}")
        on_time = f"{frames(f'read_{source}', '0')} WHERE NOT ({LATE})"
        flow.parser(source, on_time, parse, f"{frames(f'read_{source}', '1')} WHERE {LATE}")
    tables.execute_sql(
        f"CREATE TEMPORARY VIEW accepted_{source} AS SELECT '{channel}' AS `channel`, "
        f"`bucket`, `payload`, `ts` FROM parsed_{source} WHERE `reason` IS NULL"
    )


def frames(source: str, late: str) -> str:
    """SQL of the records of a source (bucket, payload, ts) as `operators.framing` says.

    Args:
        source: The table.
        late: `0` or `1` for all of them.
    """
    key, value = (f"DECODE(`{part}`, '{CHARSET}')" for part in ("key", "value"))
    about = ("`partition`", "`offset`", ARRIVED_MS, late, _length(key), _length(value))
    line = ", ' ', ".join(f"CAST({one} AS STRING)" for one in about)
    parts = ", ".join(f"COALESCE({part}, '')" for part in (key, value))
    return (
        f"SELECT `partition` AS `bucket`, CONCAT({line}, CHR(10), {parts}) AS `payload`, `ts` "
        f"FROM {source}"
    )


def _length(text: str) -> str:
    return f"COALESCE(CAST(CHAR_LENGTH({text}) AS STRING), '{NONE}')"


def dead_letters(source: str, topic: str, settings: Job) -> str:
    """SQL that writes what a parser refused; in a replay, what came too late as well."""
    reason = "`reason`"
    if settings.kafka.redact != "keep":
        reason = f"REGEXP_REPLACE({reason}, {QUOTED}, 'a value')"
    return (
        f"INSERT INTO {DEAD_LETTERS} SELECT {RAW[settings.kafka.redact]}, '{topic}', `partition`, "
        f"`offset`, {reason}, `seen_at` FROM (SELECT *, ENCODE(`raw`, '{CHARSET}') AS `value` "
        f"FROM parsed_{source}) WHERE `reason` IS NOT NULL"
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
