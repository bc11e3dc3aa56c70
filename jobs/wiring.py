"""Sources, sinks, micro-batches: the parts every job is wired from.

Micro-batches are made in the JVM: a window over each bucket, its messages joined to one text, so
that Python is entered once a bucket and window. `live` windows go by processing time: the last
event of a quiet night is served at once, and no idle partition holds anything back. `replay`
windows go by event time, and reading ends where the topics end now, which closes all of them.
"""

from collections.abc import Mapping
from typing import Any

from pyflink.common import Types
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.table import Schema, StreamTableEnvironment, Table

from jobs.settings import Kafka, Recommend
from operators.flink.keyed import OUTPUT_TYPE, KeyedShell

RECORD_COLUMNS = """
  `value` BYTES,
  `partition` INT METADATA VIRTUAL,
  `offset` BIGINT METADATA VIRTUAL,
  `arrived` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL"""

# Only for the watermark: records are read and checked by the parser behind it. What has no legal
# time is put at 1970, and what lies ahead of the clock too, so that one wrong record cannot close
# the windows of all others.
_EVENT_TIME = """
  `time_ms` AS TRY_CAST(JSON_VALUE(CAST(`value` AS STRING), '$.event_time') AS BIGINT),
  `ts` AS TO_TIMESTAMP_LTZ(CASE
    WHEN TRY_CAST(JSON_VALUE(CAST(`value` AS STRING), '$.event_time') AS BIGINT)
      BETWEEN 0 AND UNIX_TIMESTAMP() * 1000 + {future_ms}
    THEN TRY_CAST(JSON_VALUE(CAST(`value` AS STRING), '$.event_time') AS BIGINT)
    ELSE 0 END, 3),
  WATERMARK FOR `ts` AS `ts` - INTERVAL '{disorder_s}' SECOND(10, 3)"""


def table_environment(
    env: StreamExecutionEnvironment, settings: Recommend
) -> StreamTableEnvironment:
    """The Table API on an environment, with the job's parallelism and UTC."""
    if settings.parallelism:
        env.set_parallelism(settings.parallelism)
    tables = StreamTableEnvironment.create(env)
    tables.get_config().set("table.local-time-zone", "UTC")
    return tables
