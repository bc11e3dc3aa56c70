"""A job of every kind of operator Headwater uses: Kafka, JVM window, thread-mode keyed state,
pandas function, Kafka. Counts the events of each key; submitted by ``test_stack_live``."""

import sys

import pandas as pd
from pyflink.common import Row, Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import DataTypes, StreamTableEnvironment
from pyflink.table.udf import udf

# Imported where the job's functions live, to prove that the project can be.
import operators.events


class Total(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext):
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context):
        assert operators.events
        total = (self.total.value() or 0) + value[1]
        self.total.update(total)
        yield Row(value[0], total)


@udf(result_type=DataTypes.BIGINT(), func_type="pandas", deterministic=False)
def plus_nothing(total: pd.Series) -> pd.Series:
    return total + 0


def main(bootstrap: str, source: str, sink: str) -> None:
    table_env = StreamTableEnvironment.create(
        StreamExecutionEnvironment.get_execution_environment()
    )
    kafka = f"'connector' = 'kafka', 'properties.bootstrap.servers' = '{bootstrap}'"
    table_env.execute_sql(
        f"""CREATE TEMPORARY TABLE source (user_id STRING, seen AS PROCTIME()) WITH ({kafka},
        'topic' = '{source}', 'scan.startup.mode' = 'earliest-offset', 'format' = 'json')"""
    )
    table_env.execute_sql(
        f"""CREATE TEMPORARY TABLE sink (user_id STRING, total BIGINT) WITH ({kafka},
        'topic' = '{sink}', 'format' = 'json')"""
    )
    counts = table_env.sql_query(
        """SELECT user_id, COUNT(*) AS events FROM
        TABLE(TUMBLE(TABLE source, DESCRIPTOR(seen), INTERVAL '1' SECOND))
        GROUP BY user_id, window_start, window_end"""
    )
    row = Types.ROW_NAMED(["user_id", "total"], [Types.STRING(), Types.LONG()])
    totals = (
        table_env.to_data_stream(counts)
        .key_by(lambda count: count[0], key_type=Types.STRING())
        .process(Total(), output_type=row)
        .uid("total")
    )
    table_env.create_temporary_view("totals", table_env.from_data_stream(totals))
    table_env.create_temporary_function("plus_nothing", plus_nothing)
    table_env.execute_sql("INSERT INTO sink SELECT user_id, plus_nothing(total) FROM totals")


if __name__ == "__main__":
    main(*sys.argv[1:])
